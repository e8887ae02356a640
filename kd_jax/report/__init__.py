"""Tables, comparisons, pictures and the page, beside the published figures."""

"""Text to entities with a model that is given: tokens, spans, readers and writers."""

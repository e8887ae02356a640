"""What the numbers are and what they mean: scores, results, tests, tables and pictures."""

"""Text on disk: readers of CoNLL files, the registered corpora, checks, overlap of splits, download."""

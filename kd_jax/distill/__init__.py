"""A teacher's outputs: computed once, stored, read back, averaged."""

"""Puts this folder on the import path, so that tests share their made-up data."""

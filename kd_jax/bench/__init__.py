"""Measured speed, memory and start-up of training and tagging."""

"""Losses, one lane's train step, lanes over devices, the loop, checkpoints and saved models."""

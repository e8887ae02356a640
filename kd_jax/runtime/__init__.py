"""The machine, without any machine learning: files, signals, devices, progress."""

"""What is owed to the machine and knows nothing of machine learning: files, signals, devices, progress."""

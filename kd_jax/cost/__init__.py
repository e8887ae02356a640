"""FLOPs, memory and time of programs."""

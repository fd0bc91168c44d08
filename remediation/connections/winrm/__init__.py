"""WinRM: the shell that runs the worker, its messages and its faults."""

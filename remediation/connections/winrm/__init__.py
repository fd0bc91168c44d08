"""WinRM: the shell that carries the worker, its messages and its faults."""

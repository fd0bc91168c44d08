"""Ollama in distributions of the Windows Subsystem for Linux: their machine, its settings, and what can be wrong with them."""

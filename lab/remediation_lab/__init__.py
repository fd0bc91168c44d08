"""A simulated fleet of Windows GPU hosts and an Ollama stand-in, to try `remediate` on and to test it."""

__version__ = "0.1.0"

"""A stand-in for the Ollama server: same answers, same log, layers decided by the lab's own load rule."""

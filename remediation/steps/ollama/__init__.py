"""Steps on the Ollama server."""

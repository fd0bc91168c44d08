"""Steps for the Ollama server."""

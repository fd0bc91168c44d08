"""Steps for Ollama's container and its model volume."""

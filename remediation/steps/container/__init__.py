"""Steps on the container of Ollama and on its volume."""

"""The Ollama server, its store of models, its log and its clients."""

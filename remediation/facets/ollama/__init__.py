"""The Ollama server, its model store, its log and its clients."""

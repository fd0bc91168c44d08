"""The services of a host: what serves Ollama, and systemd."""

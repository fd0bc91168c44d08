"""Ollama outside of containers on a Windows machine: the app, a service, a scheduled task, a shell; their settings and their faults."""

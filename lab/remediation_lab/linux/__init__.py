"""A Linux host whose Ollama is a service: a real sshd into this machine, and programs that are found first there."""

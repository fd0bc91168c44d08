"""Steps on Compose files and projects."""

"""Steps on the host: driver, restart, Docker Desktop, files."""

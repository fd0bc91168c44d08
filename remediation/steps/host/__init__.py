"""Steps for the host: driver, restart, Docker Desktop, files."""

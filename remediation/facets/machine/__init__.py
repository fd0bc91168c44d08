"""The machine: system, session, processes, files, readiness."""

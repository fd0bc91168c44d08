"""State and context of a run, a host and a task."""

"""Commands that follow a run: resume, undo, apply."""

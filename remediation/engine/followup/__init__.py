"""What may follow a run: resume, undo, apply."""

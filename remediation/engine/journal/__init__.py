"""The journal of a run, earlier runs, and their JSON form."""

"""The journal of a run, earlier runs, and the JSON form of what they hold."""

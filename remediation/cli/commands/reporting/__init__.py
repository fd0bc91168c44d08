"""Commands that write reports: ``report`` of a run or of samples, and ``bundle`` for an issue."""

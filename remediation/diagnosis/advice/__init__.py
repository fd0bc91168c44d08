"""What goes with a cause: the words of its cure, what to collect, settings without effect, and who sent a request."""

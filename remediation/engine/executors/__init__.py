"""Runs the hosts of a run in other processes: the controller's side, the workers' side, and the messages between them."""

"""Ladders: a goal, and the rungs tried until it is met."""

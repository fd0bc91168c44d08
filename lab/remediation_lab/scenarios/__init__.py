"""The first states of simulated hosts: healthy ones of each world, and their faults."""

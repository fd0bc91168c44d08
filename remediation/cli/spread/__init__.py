"""``--executor``: the choice of where hosts run, and the readings of hosts on workers."""

"""The waves of a play: their hosts, the threads that run them, and where the hosts wait for each other."""

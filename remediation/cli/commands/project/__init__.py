"""Commands for a first start: ``doctor`` checks this machine, ``init`` writes a small project."""

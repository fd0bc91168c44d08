"""Finds out why a GPU host serves its language model from the CPU, repairs it, and proves the repair.

The package is layered (``docs/architecture.md``): importing it loads no other module of it.
"""

import logging

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent until --log-file or the importing program adds a handler

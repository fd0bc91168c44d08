"""Finds out why a GPU host serves its language model from the CPU, repairs it, and proves the repair.

The package is layered (``docs/architecture.md``): importing it loads nothing but this module.
"""

__version__ = "0.1.0"

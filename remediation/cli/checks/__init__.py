"""The checks of ``check-host``."""

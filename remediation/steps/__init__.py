"""Built-in steps, registered through the entry-point group ``remediation.steps``."""

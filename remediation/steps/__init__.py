"""The steps: one module per noun. Found through the entry-point group ``remediation.steps`` (`remediation.steps.registry`)."""

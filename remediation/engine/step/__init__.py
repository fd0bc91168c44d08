"""One step on one host: observe, plan, apply, observe again."""

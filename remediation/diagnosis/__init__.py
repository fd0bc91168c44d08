"""From evidence to findings: log readers, the memory model, facts, and the knowledge of mechanisms."""

"""From evidence to findings: log readers, the memory model, and one small function per cause."""

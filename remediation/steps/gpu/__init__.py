"""Steps that free VRAM."""

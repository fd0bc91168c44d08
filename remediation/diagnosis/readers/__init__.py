"""Readers: from text to typed records of what it says; nothing here judges."""

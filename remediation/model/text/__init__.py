"""Reads and writes text: JSON, YAML limits, timestamps, numbers, counted nouns."""

"""Readers of what is pasted beside the log: process lists, nvidia-smi, settings, requests, Docker; found by content."""

"""Readers of texts other than logs, recognised by content: process lists, nvidia-smi, settings, requests, Docker."""

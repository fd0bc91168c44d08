"""Secrets: how they are recognised and masked."""

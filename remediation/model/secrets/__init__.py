"""Recognizes and masks secrets."""

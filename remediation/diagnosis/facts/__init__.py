"""Typed propositions about one incident, each with its quote, derived once from what the readers say."""

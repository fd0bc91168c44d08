"""Playbooks: loading, validation and the model of plays and tasks."""

"""Extends remediation by a step, a connection, a report and a command."""

"""The engine: runs playbooks, ladders and steps on hosts."""

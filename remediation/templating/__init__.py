"""Templates: Jinja2 and Ansible's filters, tests and lookups over the user's YAML files."""

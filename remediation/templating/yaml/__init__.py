"""YAML files whose values know their place; vault and other sources of secrets."""

"""YAML files whose values know their position; vault and other sources of secrets."""

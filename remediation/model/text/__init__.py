"""Reading and writing text: JSON, YAML limits, timestamps, numbers, counted nouns."""

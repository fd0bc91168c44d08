"""``watch``: checks hosts at an interval and repairs them within limits."""

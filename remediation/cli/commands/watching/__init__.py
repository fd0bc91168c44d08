"""Commands that keep looking at hosts: ``monitor`` shows them, ``watch`` repairs them."""

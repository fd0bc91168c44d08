"""Compose projects as the plugin of Docker reads them."""

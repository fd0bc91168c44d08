"""Steps on models: loaded, offloaded, present, responding."""

"""Steps for models: loaded, offloaded, present, responding."""

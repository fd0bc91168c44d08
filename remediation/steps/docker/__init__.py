"""Steps for the Docker daemon of a Linux host and NVIDIA's container toolkit."""

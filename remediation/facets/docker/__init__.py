"""The Docker engine, Compose and Docker Desktop."""

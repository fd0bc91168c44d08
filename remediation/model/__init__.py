"""The domain model as frozen dataclasses; standard library only, so that every layer can import it."""

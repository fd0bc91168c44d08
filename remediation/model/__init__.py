"""The words of the project as frozen dataclasses; standard library only, so that every layer may import them."""

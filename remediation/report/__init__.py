"""Reports of a run: terminal, HTML, JSON Lines and JUnit XML."""

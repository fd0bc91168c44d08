"""Recordings of host I/O, and their replay."""

"""Modules that run programs, shells and scripts."""

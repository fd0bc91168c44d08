"""Mechanisms of this distribution."""

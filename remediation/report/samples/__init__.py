"""Samples of ``monitor``: their recent history as sparklines, and a page with time series."""

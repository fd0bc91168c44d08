"""Facets: typed readers and writers of a host over a connection."""

"""Facets: typed readers and writers of a host over a connection."""

from remediation.former_names import find_former_names

find_former_names()

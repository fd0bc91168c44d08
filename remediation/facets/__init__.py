"""A host seen through its facets: typed readers and writers over a connection."""

from remediation.former_names import find_former_names

find_former_names()

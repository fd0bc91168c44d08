"""A host seen through its facets: typed readers and writers over a connection."""

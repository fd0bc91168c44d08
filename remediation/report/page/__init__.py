"""Pages: one self-contained file each, with charts as inline SVG, for a browser without a network."""

"""Evidence bundles: one zip about a run for an issue report, without names and secrets."""

"""Pages about data that are no verdict: what changed between two versions."""

"""The trackers: one file for each kind of fact."""

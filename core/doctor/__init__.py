"""The data doctor: what is wrong with a set of photos, and what would mend it."""

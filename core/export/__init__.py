"""A model to take along: one bundle in several forms, proven to predict the same, and read back with suspicion."""

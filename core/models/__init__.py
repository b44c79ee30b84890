"""Backbones: which there are, where their weights are, how one becomes a network with a new head."""

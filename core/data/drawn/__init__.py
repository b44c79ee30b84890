"""Leaves, the ground they lie on and the light they lie in: the demo photos, drawn."""

"""Using a trained network: the same pixels, the same weights, the same answer everywhere."""

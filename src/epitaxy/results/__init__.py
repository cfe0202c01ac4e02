"""Layer 1: predictions, metrics, training histories and comparisons; needs no torch."""

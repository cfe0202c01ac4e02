"""Layer 3: mini-batches of crystals, loaders and target scalers."""

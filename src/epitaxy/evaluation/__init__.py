"""Layer 7: from a model to predictions in physical units."""

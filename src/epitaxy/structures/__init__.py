"""Layer 1: tables of crystals, where they come from, and how they are split and sampled."""

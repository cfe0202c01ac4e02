"""Layer 9: many runs from one file, and what they say together."""

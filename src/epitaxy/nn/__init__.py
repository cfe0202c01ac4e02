"""Layer 3: torch layers that know nothing of files."""

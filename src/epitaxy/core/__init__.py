"""Layer 0: errors, registries, hashes, files, seeds and property specifications."""

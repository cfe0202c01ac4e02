"""Layer 2: from crystals to bonds; recipes, neighbour rules, element features, graph store."""

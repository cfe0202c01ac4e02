"""What the reference values of CGCNN and of mixtures of it share."""

import numpy as np

from epitaxy.graphs.store import GraphArrays


def reference(shared) -> dict[str, np.ndarray]:
    """Return everything that the reference recorded."""
    with np.load(shared / "golden" / "golden_cgcnn.npz") as file:
        return dict(file)


def stored_graphs(golden) -> GraphArrays:
    """Join the neighbour lists of the reference, distances in float64."""
    numbers, neighbours, lengths = (
        [golden[f"moe_struct{i}_{part}"] for i in range(10)]
        for part in ("Z", "nbr_idx", "nbr_dist")
    )
    n_atoms = np.array([len(z) for z in numbers])
    first = np.cumsum(n_atoms) - n_atoms
    n, bonds = n_atoms.sum(), 12 * n_atoms.sum()
    return GraphArrays(
        n_atoms=n_atoms,
        atomic_numbers=np.concatenate(numbers),
        atom_weight=np.ones(n),
        n_bonds=np.full(n, 12),
        bond_dst=np.concatenate([d.ravel() + f for d, f in zip(neighbours, first, strict=True)]),
        bond_length=np.concatenate([d.ravel() for d in lengths]),
        bond_weight=np.ones(bonds),
    )

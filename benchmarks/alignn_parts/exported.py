"""Worker that runs in the environment of alignn 2023.4.1: CHECKPOINT CRYSTALS.json -> outputs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import alignn.data  # noqa: F401 - its imports must come before those of its models
import torch
from alignn.graphs import Graph
from alignn.models.alignn import ALIGNN, ALIGNNConfig
from jarvis.core.atoms import Atoms
from jarvis.core.specie import atomic_numbers_to_symbols


def main() -> None:
    """Load strictly, build graphs, print one output per crystal."""
    checkpoint, crystals = sys.argv[1:]
    net = ALIGNN(ALIGNNConfig(name="alignn"))
    net.load_state_dict(torch.load(checkpoint, map_location="cpu")["model"])
    net.eval()
    outputs = []
    for crystal in json.loads(Path(crystals).read_text(encoding="utf-8")):
        atoms = Atoms(
            lattice_mat=crystal["lattice"],
            coords=crystal["coordinates"],
            elements=atomic_numbers_to_symbols(crystal["numbers"]),
            cartesian=False,
        )
        graphs = Graph.atom_dgl_multigraph(
            atoms, cutoff=8.0, max_neighbors=12, atom_features="cgcnn", use_canonize=True
        )
        with torch.no_grad():
            outputs.append(float(net(list(graphs))))
    print(json.dumps(outputs))


if __name__ == "__main__":
    main()

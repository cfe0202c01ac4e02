"""Worker that times one of the two official ALIGNN packages; runs in that package's environment.

    python official.py {2023,2026,2026-same} CRYSTALS.npz --batch 64 --threads 2 --folder FOLDER

2023: `load_graphs`, `StructureDataset`, `ALIGNN`, nearest 12 neighbours and their shells, 8 Å,
canonical bonds. 2026: the package's recipe for scalar properties without DGL (exactly 12 neighbours
within 8 Å, angles between bonds of up to 3.5 Å, graphs in an LMDB file). 2026-same: the network of
2026 on the graphs of 2023, which its loader without DGL does not build by itself.
"""

# ruff: noqa: D102 - the methods are described in worker.py
from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from worker import Crystals, serve

RULE = {"cutoff": 8.0, "max_neighbors": 12, "use_canonize": True}


def records(crystals: Crystals) -> list[dict[str, Any]]:
    """Return the crystals as the packages read them."""
    from jarvis.core.atoms import Atoms
    from jarvis.core.specie import atomic_numbers_to_symbols

    return [
        {
            "jid": str(row),
            "target": float(crystals.targets[row]),
            "atoms": Atoms(
                lattice_mat=lattice,
                coords=crystals.coordinates[row],
                elements=atomic_numbers_to_symbols(crystals.numbers[row]),
                cartesian=False,
            ).to_dict(),
        }
        for row, lattice in enumerate(crystals.lattices)
    ]


class Official:
    """What both versions share."""

    dataset: Any

    def __init__(self, options: argparse.Namespace) -> None:
        from alignn.train import group_decay, setup_optimizer

        self.options = options
        self.net = self.network()
        settings = SimpleNamespace(optimizer="adamw", learning_rate=1e-3, weight_decay=1e-5)
        self.optimiser = setup_optimizer(group_decay(self.net), settings)
        self.loss = torch.nn.L1Loss()

    def network(self) -> torch.nn.Module:
        """Return a new network of 4 + 4 layers, width 256."""
        raise NotImplementedError

    def predict(self, batch: Any) -> torch.Tensor:
        """Return (B,)."""
        raise NotImplementedError

    def batches(self) -> Iterator[tuple[Any, int]]:
        loader = DataLoader(
            self.dataset,
            batch_size=self.options.batch,
            shuffle=True,
            collate_fn=self.dataset.collate_line_graph,
        )
        for batch in loader:
            yield batch, len(batch[-1])

    def train(self, batch: Any) -> None:
        self.optimiser.zero_grad()
        self.loss(self.predict(batch), batch[-1]).backward()
        self.optimiser.step()

    def infer(self, batch: Any) -> None:
        self.predict(batch)

    def mode(self, *, training: bool) -> None:
        self.net.train(training)


class Alignn2023(Official):
    """With DGL; graphs in memory."""

    def network(self) -> torch.nn.Module:
        import alignn.data  # noqa: F401 - so that all imports come before the first memory reading
        from alignn.models.alignn import ALIGNN, ALIGNNConfig

        return ALIGNN(ALIGNNConfig(name="alignn"))

    def build(self, crystals: Crystals) -> dict[str, float]:
        import pandas as pd
        from alignn.data import load_graphs
        from alignn.graphs import StructureDataset

        rows = records(crystals)
        began = time.perf_counter()
        graphs = load_graphs(rows, neighbor_strategy="k-nearest", **RULE)
        self.dataset = StructureDataset(
            pd.DataFrame(rows), graphs, target="target", atom_features="cgcnn", line_graph=True
        )
        return {"1": len(rows) / (time.perf_counter() - began)}

    def counts(self) -> dict[str, float]:
        return {
            "atoms": sum(g.num_nodes() for g in self.dataset.graphs),
            "bonds": sum(g.num_edges() for g in self.dataset.graphs),
            "angles": sum(g.num_edges() for g in self.dataset.line_graphs),
        }

    def predict(self, batch: Any) -> torch.Tensor:
        prediction: torch.Tensor = self.net([batch[0], batch[1]])
        return prediction.view(-1)


class Alignn2026(Official):
    """Without DGL; graphs in an LMDB file."""

    def network(self) -> torch.nn.Module:
        import alignn.pure_lmdb_dataset  # noqa: F401 - as above
        from alignn.models.alignn_atomwise_pure import (
            ALIGNNAtomWisePure,
            ALIGNNAtomWisePureConfig,
        )

        config = ALIGNNAtomWisePureConfig(
            name="alignn_atomwise_pure",
            alignn_layers=4,
            gcn_layers=4,
            atom_input_features=92,
            hidden_features=256,
            calculate_gradient=False,
            gradwise_weight=0.0,
            energy_mult_natoms=False,
            penalty_factor=0.1,
        )
        return ALIGNNAtomWisePure(config)

    def build(self, crystals: Crystals) -> dict[str, float]:
        from alignn.pure_lmdb_dataset import get_torch_dataset

        rows = records(crystals)
        began = time.perf_counter()
        self.dataset = get_torch_dataset(
            dataset=rows,
            target="target",
            neighbor_strategy="pure_torch",
            three_body_cutoff=3.5,
            output_dir=self.options.folder,
            tmp_name=f"{self.options.folder}/graphs",
            **RULE,
        )
        return {"1": len(rows) / (time.perf_counter() - began)}

    def counts(self) -> dict[str, float]:
        found = [self.dataset[row][:2] for row in range(len(self.dataset))]
        return {
            "atoms": sum(g.num_nodes for g, _ in found),
            "bonds": sum(g.num_edges for g, _ in found),
            "angles": sum(lg.num_edges for _, lg in found),
        }

    def predict(self, batch: Any) -> torch.Tensor:
        prediction: torch.Tensor = self.net(batch[:3])["out"]
        return prediction.view(-1)


class InMemory(list[Any]):
    """Samples (graph, line graph, lattice, label) with the collation of the package."""

    @staticmethod
    def collate_line_graph(samples: list[Any]) -> Any:
        from alignn.pure_lmdb_dataset import PureTorchLMDBDataset

        return PureTorchLMDBDataset.collate_line_graph(samples)


class Same2026(Alignn2026):
    """The network of 2026 on the graphs of 2023."""

    def build(self, crystals: Crystals) -> dict[str, float]:
        from alignn.graphs import build_undirected_edgedata, nearest_neighbor_edges
        from alignn.torch_graph_builder import TorchGraph, _line_graph_edges, torch_bond_cosines
        from jarvis.core.atoms import Atoms
        from jarvis.core.specie import get_node_attributes

        self.dataset = InMemory()
        for row in records(crystals):
            atoms = Atoms.from_dict(row["atoms"])
            edges = nearest_neighbor_edges(atoms=atoms, **RULE)
            edges = edges[0] if isinstance(edges, tuple) else edges
            src, dst, vectors = build_undirected_edgedata(atoms, edges)[:3]
            src, dst = torch.as_tensor(src).long(), torch.as_tensor(dst).long()
            vectors = torch.as_tensor(np.asarray(vectors)).float()
            features = [get_node_attributes(name, atom_features="cgcnn") for name in atoms.elements]
            graph = TorchGraph(
                num_nodes=atoms.num_atoms,
                src=src,
                dst=dst,
                ndata={"atom_features": torch.tensor(np.array(features)).float()},
                edata={"r": vectors},
            )
            first, second = _line_graph_edges(src, dst, atoms.num_atoms)
            # DGL pairs no bond with itself, though one between images of an atom could be.
            first, second = first[first != second], second[first != second]
            line = TorchGraph(
                num_nodes=len(src),
                src=first,
                dst=second,
                ndata={"r": vectors},
                edata={"h": torch_bond_cosines(vectors[first], vectors[second])},
            )
            lattice = torch.as_tensor(atoms.lattice_mat).float()
            self.dataset.append((graph, line, lattice, torch.tensor(row["target"])))
        return {}


CONTENDERS = {"2023": Alignn2023, "2026": Alignn2026, "2026-same": Same2026}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("version", choices=list(CONTENDERS))
    parser.add_argument("crystals")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", required=True, help="for files of the package")
    options = parser.parse_args()
    serve(lambda: CONTENDERS[options.version](options), options.crystals, options.threads)


if __name__ == "__main__":
    main()

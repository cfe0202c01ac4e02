"""Worker that times the authors' CGAT; runs in an environment with torch_geometric.

python official.py CRYSTALS.npz --authors CHECKOUT --batch 16 --threads 1 --bonds 512
"""

# ruff: noqa: D102 - the methods are described in alignn_parts/worker.py
from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch.nn.functional import l1_loss
from torch.utils.data import DataLoader
from worker import Crystals, serve


def scatter_add(values: Any, index: Any, dim: int, dim_size: int | None = None) -> Any:
    """Sum rows by index; what the code needs of torch_scatter."""
    assert dim == 0
    size = int(index.max()) + 1 if dim_size is None else dim_size
    return values.new_zeros((size, *values.shape[1:])).index_add(0, index, values)


def scatter_max(values: Any, index: Any, dim: int) -> tuple[Any, None]:
    """Return the largest rows by index; where they stood is never asked."""
    assert dim == 0
    wide = index.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
    start = values.new_full((int(index.max()) + 1, *values.shape[1:]), -torch.inf)
    return start.scatter_reduce(0, wide, values, "amax"), None


def stand_in(*names: str, **content: Any) -> None:
    """Put modules in the place of a package, named first, that is not installed."""
    if importlib.util.find_spec(names[0]) is None:
        for name in names:
            sys.modules[name] = ModuleType(name)
            vars(sys.modules[name]).update(content)


class Official:
    """The authors' network, data set and batches; their training step without Lightning."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        sys.path.insert(0, str(options.authors))
        stand_in(
            "torch_scatter", scatter_add=scatter_add, scatter_max=scatter_max, scatter_mean=None
        )
        stand_in("torchvision", "torchvision.utils")
        self.model = importlib.import_module("CGAT.CGAT").CGAtNet(
            200,
            elem_fea_len=128,
            n_graph=5,
            nbr_embedding_size=options.bonds,
            neighbor_number=24,
            mean_pooling=False,
            rezero=True,
            msg_heads=6,
            update_edges=True,
            vector_attention=True,
            global_vector_attention=True,
            n_graph_roost=3,
        )
        self.collate = importlib.import_module("CGAT.roost_message").collate_batch
        self.batch_of = importlib.import_module("torch_geometric.data").Batch
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1.25e-4, weight_decay=1e-6)

    def build(self, crystals: Crystals) -> dict[str, float]:
        began = time.perf_counter()
        kind = importlib.import_module("CGAT.data").CompositionData
        vectors = self.options.authors / "embeddings" / "matscholar-embedding.json"
        self.data = kind(self.stored(crystals), str(vectors), max_neighbor_number=24, target="y")
        self.loader = DataLoader(
            self.data, batch_size=self.options.batch, shuffle=True, collate_fn=lambda batch: batch
        )
        return {"1": len(crystals.lattices) / (time.perf_counter() - began)}

    def stored(self, crystals: Crystals) -> dict[str, Any]:
        """Return the crystals in the layout of the authors' preparation."""
        with np.load(self.options.crystals) as file:
            cuts = np.cumsum(file["counts"])[:-1]
            listed, ranks = (np.split(file[key], cuts) for key in ("listed", "ranks"))
        n = len(crystals.lattices)
        inputs = np.empty((3, n), dtype=object)
        elements, formulas, targets = (
            np.empty(shape, dtype=object) for shape in (n, (n, 1), (n, 1))
        )
        for row, numbers in enumerate(crystals.numbers):
            owners = np.repeat(np.arange(len(numbers))[:, None], 24, axis=1)
            for column, values in enumerate((ranks[row], owners, listed[row])):
                inputs[column, row] = values[:, :, None].astype(np.int64)
            elements[row] = np.array([[chemical_symbols[z]] for z in numbers])
            formulas[row, 0] = ""
            # Their data set multiplies by the number of atoms.
            targets[row, 0] = float(crystals.targets[row]) / len(numbers)
        return {
            "input": inputs,
            "comps": elements,
            "batch_comp": formulas,
            "target": {"y": targets},
        }

    def counts(self) -> dict[str, float]:
        return {"parameters": sum(p.numel() for p in self.model.parameters())}

    def batches(self) -> Iterator[tuple[Any, int]]:
        for batch in self.loader:
            compositions, graphs = [pair[1] for pair in batch], [pair[0] for pair in batch]
            yield (self.batch_of.from_data_list(graphs), self.collate(compositions)), len(batch)

    def predict(self, batch: Any) -> Any:
        graphs, compositions = batch
        return self.model(graphs, compositions).chunk(2, dim=1)[0], graphs.y.view(-1, 1)

    def train(self, batch: Any) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        l1_loss(*self.predict(batch)).backward()
        self.optimiser.step()

    def infer(self, batch: Any) -> None:
        self.predict(batch)

    def mode(self, *, training: bool) -> None:
        self.model.train(training)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("crystals")
    parser.add_argument("--authors", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--bonds", type=int, required=True)
    options = parser.parse_args()
    serve(lambda: Official(options), options.crystals, options.threads)


if __name__ == "__main__":
    main()

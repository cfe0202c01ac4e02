"""`chgnet`: the embedding of crystals in a universal interatomic potential."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from epitaxy.core.progress import Progress
from epitaxy.descriptors.checks import MIN_DISTANCE, TOO_NEAR, structure_reasons
from epitaxy.descriptors.featurizing import UNUSABLE, said_by
from epitaxy.descriptors.packages import needs, quiet, versions
from epitaxy.descriptors.table import Vectors
from epitaxy.structures.table import StructureTable

EXTRA = "chgnet"
WEIGHTS = "0.3.0"
"""Pre-trained on MPtrj; the file comes with the package."""
WIDTH = 64
LAST_ELEMENT = 94
"""The network has embeddings up to plutonium."""
STATISTICS = ("mean", "deviation", "minimum", "maximum")
BATCH_ATOMS = 300
"""Atoms that go through the network together; more is not faster on a processor."""


class CHGNetEmbedding:
    """Features of crystal and atoms inside CHGNet; needs the package chgnet, runs on the processor.

    ``crystal`` is the mean over atoms after the last convolution and its normalisation, from which
    the energy follows; ``mean``, ``deviation`` (standard, of the population), ``minimum`` and
    ``maximum`` are over atoms before the last convolution, from which magnetic moments follow.
    Vectors agree to float32 rounding whatever else is in the table.

    Source: B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023).
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the 320 features; known without the package."""
        parts = ("crystal", *STATISTICS)
        return tuple(f"chgnet {part} {k}" for part in parts for k in range(WIDTH))

    @property
    def version(self) -> str:
        """Versions of chgnet and of its weights.

        Raises:
            InputError: chgnet is not installed.
        """
        with needs("chgnet", EXTRA):
            return f"{versions('chgnet')}, weights {WEIGHTS}"

    def __call__(self, table: StructureTable, *, workers: int | None = None) -> Vectors:
        """Describe all crystals with as many threads as torch is set to; ``workers`` is not used.

        Raises:
            InputError: chgnet is not installed.
        """
        del workers
        network = _network()
        reasons = structure_reasons(table, LAST_ELEMENT)
        values = np.full((len(table), len(self.names)), np.nan)
        rows = np.flatnonzero([not reason for reason in reasons])
        cuts = np.flatnonzero(np.diff(np.cumsum(table.n_atoms[rows]) // BATCH_ATOMS)) + 1
        with Progress(len(rows), "chgnet features") as bar:
            for piece in np.split(rows, cuts):
                graphs = {}
                for row in piece.tolist():
                    graphs[row], reasons[row] = _graph(network, table, row)
                good = [row for row in graphs if not reasons[row]]
                values[good] = _embed(network, [graphs[row] for row in good])
                bar.step(len(piece))
        return Vectors(values, reasons)


CHGNET = CHGNetEmbedding()


def _graph(network: Any, table: StructureTable, row: int) -> tuple[Any, str]:
    """Return the graph of a crystal and an empty text, or None and the reason."""
    structure = table.structure(row)
    if not structure.is_valid(MIN_DISTANCE):
        return None, TOO_NEAR
    try:
        with quiet():
            return network.graph_converter(structure), ""
    except UNUSABLE as error:
        return None, f"CHGNet has no graph of it: {said_by(error)}"


def _embed(network: Any, graphs: Sequence[Any]) -> np.ndarray:
    """Return (n, F) for n graphs."""
    import torch

    if not graphs:
        return np.zeros((0, len(CHGNET.names)))
    with torch.no_grad(), quiet():
        found = network(graphs, task="e", return_atom_feas=True, return_crystal_feas=True)
    sums = found["crystal_fea"].double().numpy()
    rows = []
    for total, tensor in zip(sums, found["atom_fea"], strict=True):
        atoms = tensor.double().numpy()
        rows.append([total / len(atoms), atoms.mean(0), atoms.std(0), atoms.min(0), atoms.max(0)])
    return np.array(rows).reshape(len(rows), -1)


@cache
def _network() -> Any:
    """Load the network; its file holds nothing that would be executed."""
    with needs("chgnet", EXTRA):
        import torch
        from chgnet.model.model import CHGNet

        folder = resources.files("chgnet") / "pretrained" / WEIGHTS
        file = next(f for f in folder.iterdir() if f.name.endswith(".pth.tar"))
        with resources.as_file(file) as path:
            content = torch.load(path, map_location="cpu", weights_only=True)
        # Without a bias of the last layer, as the package itself loads these weights.
        network = CHGNet.from_dict(content["model"], mlp_out_bias=False, version=WEIGHTS)
        return network.eval()

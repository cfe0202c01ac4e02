"""The steps of CGAT: attention over bonds, updates of bonds, attention pooling.

J. Hoffmann et al., Digital Discovery 2, 1368 (2023), Eqs. 1 and 2, and as released by the authors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from epitaxy.nn.attention import SLOPE, HeadNetworks, Picks
from epitaxy.nn.composition import Composition, CompositionNetwork
from epitaxy.nn.hypernetwork import Hypernetwork
from epitaxy.nn.segments import segment_attention

Attention = Literal["vector", "scalar"]
"""One weight per channel, or one for all."""


class Heads(NamedTuple):
    """Shape of the networks of a step."""

    atoms: int
    """F, length of atom vectors."""
    bonds: int
    """K, length of bond vectors."""
    heads: int
    """H."""
    hidden: int
    """Length of the hidden vectors of each head."""
    attention: Attention

    def messages(self, inputs: Sequence[int], outputs: int) -> HeadNetworks:
        """Return the networks that make messages."""
        return HeadNetworks(inputs, self.hidden, outputs, self.heads)

    def scores(self, inputs: Sequence[int], outputs: int, *, shift: bool = False) -> HeadNetworks:
        """Return the networks that weigh messages of ``outputs`` channels."""
        channels = outputs if self.attention == "vector" else 1
        return HeadNetworks(inputs, self.hidden, channels, self.heads, shift=shift)


class Messages(NamedTuple):
    """Bonds grouped by the atom that receives: E bonds, N atoms."""

    picks: Picks
    """Rows of receiver, bond vector and sender."""
    offsets: Tensor
    """(N + 1,) int64."""
    weight: Tensor
    """(E,) how many equal bonds each one stands for."""


class Restart(nn.Module):
    """Input of the hypernetworks: ``lam first + (1 - lam) new`` with a learned lam in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.damping = nn.Parameter(torch.rand(1))

    def forward(self, first: Tensor, new: Tensor) -> Tensor:
        """(N, F), (N, F) -> (N, F)."""
        # Clamped in value only: with the slope of a clamp, what once left [0, 1] never came back.
        share = self.damping + (self.damping.clamp(0, 1) - self.damping).detach()
        return share * first + (1 - share) * new


class AtomUpdate(nn.Module):
    """``h_i + Hyper(z_i)(g_i)`` where g is the mean over heads of attended messages (Eq. 1).

    z is h in the first step, and then a mixture of the first vectors and g (as released).
    """

    def __init__(self, shape: Heads, *, first: bool) -> None:
        super().__init__()
        inputs = (shape.atoms, shape.bonds, shape.atoms)
        self.scores = shape.scores(inputs, shape.atoms)
        self.messages = shape.messages(inputs, shape.atoms)
        self.restart = None if first else Restart()
        self.hyper = Hypernetwork(shape.atoms)

    def attend(self, atoms: Tensor, bonds: Tensor, messages: Messages) -> Tensor:
        """Return g, (N, F); ``bonds`` are the rows that the picks speak of."""
        tables = [atoms, bonds, atoms]
        scores, sent = (net(tables, messages.picks) for net in (self.scores, self.messages))
        return segment_attention(scores, sent, messages.offsets, messages.weight).mean(dim=1)

    def forward(self, atoms: Tensor, bonds: Tensor, messages: Messages, first: Tensor) -> Tensor:
        """(N, F) -> (N, F); ``first`` are the vectors before the first step."""
        new = self.attend(atoms, bonds, messages)
        z = atoms if self.restart is None else self.restart(first, new)
        out: Tensor = atoms + self.hyper(z, new)
        return out


class BondLayer(nn.Module):
    """``e + V lrelu(W e + b) + c``: a bond knows nothing but itself (as released)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.last = nn.Linear(width, width)

    def forward(self, bonds: Tensor) -> Tensor:
        """(R, K) -> (R, K)."""
        out: Tensor = bonds + self.last(leaky_relu(self.first(bonds), SLOPE))
        return out


class BondUpdate(nn.Module):
    """A bond looks at both of its atoms, by heads that share one softmax.

    With ``hyper`` (an option of the released code) the mean over heads goes through a hypernetwork;
    otherwise (Eq. 2) their concatenation goes through a network with one hidden layer.
    """

    def __init__(self, shape: Heads, *, first: bool, hyper: bool) -> None:
        super().__init__()
        inputs = (shape.atoms, shape.bonds, shape.atoms)
        # A softmax over heads, unlike one over bonds, sees the shift of each.
        self.scores = shape.scores(inputs, shape.bonds, shift=True)
        self.messages = shape.messages(inputs, shape.bonds)
        self.restart = Restart() if hyper and not first else None
        self.hyper = Hypernetwork(shape.bonds) if hyper else None
        joined = (shape.heads * shape.bonds,)
        self.joint = None if hyper else HeadNetworks(joined, shape.hidden, shape.bonds, 1)

    def forward(self, atoms: Tensor, bonds: Tensor, picks: Picks, first: Tensor) -> Tensor:
        """(N, F), (E, K) -> (E, K); ``first`` (E, K) are the vectors before the first step.

        ``picks`` takes the owner of the list, the bond and the listed neighbour.
        """
        tables = [atoms, bonds, atoms]
        scores, sent = (net(tables, picks) for net in (self.scores, self.messages))
        heard = torch.softmax(scores, dim=1) * sent
        if self.joint is not None:
            made: Tensor = self.joint([heard.flatten(1)])
            return bonds + made[:, 0].to(bonds.dtype)
        assert self.hyper is not None
        new = heard.mean(dim=1).to(bonds.dtype)
        z = bonds if self.restart is None else self.restart(first, new)
        out: Tensor = bonds + self.hyper(z, new)
        return out


class Readout(nn.Module):
    """Attention over the atoms of a crystal, with its composition as context.

    Args:
        inputs: length of the element vectors.
        shape: of the heads; the hidden vectors have the length of atom vectors.
        layers: rounds of the composition network.
        hidden: length of its hidden vectors.
        mean: average the heads instead of joining them.
    """

    def __init__(self, inputs: int, shape: Heads, *, layers: int, hidden: int, mean: bool) -> None:
        super().__init__()
        width = shape.atoms
        shape = shape._replace(hidden=width)
        self.composition = CompositionNetwork(inputs, width=width, layers=layers, hidden=hidden)
        self.scores = shape.scores((width, width), width)
        self.messages = shape.messages((width,), width)
        self.mean = mean

    def forward(
        self, atoms: Tensor, elements: Tensor, composition: Composition, pooling: Messages
    ) -> tuple[Tensor, Tensor]:
        """Return what each atom sends (N, H F) and the crystal vectors (B, H F); F with ``mean``.

        ``pooling`` picks the rows of atom and crystal, grouped by crystal.
        """
        context = self.composition(elements, composition)
        scores, sent = self.scores([atoms, context], pooling.picks), self.messages([atoms])
        pooled = segment_attention(scores, sent, pooling.offsets, pooling.weight)
        if self.mean:
            return sent.mean(dim=1), pooled.mean(dim=1)
        return sent.flatten(1), pooled.flatten(1)

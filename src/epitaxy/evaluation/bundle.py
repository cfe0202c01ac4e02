"""`Bundle`: the models that `fit` hands over as one, with intervals and domain flags."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from epitaxy.checkpoints.model_files import load_model
from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError
from epitaxy.core.files import write_json
from epitaxy.core.parsing import read_json
from epitaxy.core.progress import Progress
from epitaxy.core.properties import PropertySpec
from epitaxy.evaluation.calibration import Calibration
from epitaxy.evaluation.feature_blocks import FeatureBlocks, feature_blocks
from epitaxy.evaluation.predicting import predict_table
from epitaxy.evaluation.shallow import ShallowModel
from epitaxy.models.property_model import PropertyModel
from epitaxy.results.predictions import make_predictions
from epitaxy.structures.table import Dropped, StructureTable

HEADER = "fit.json"
FORMAT: Literal["epitaxy-fit"] = "epitaxy-fit"
VERSION: Literal[2] = 2
ROUNDING = 1e-6
"""By which the sum of weights may miss 1."""
CHUNK = 2000
"""Crystals that are predicted at a time."""


def _below(path: str) -> str:
    """Accept paths that stay below the folder; a shared bundle may come from anybody."""
    if ".." in PurePosixPath(path).parts or path.startswith("/") or set("\\:") & set(path):
        raise ValueError(f"{path!r} leads out of the folder")
    return path


Below = Annotated[str, AfterValidator(_below)]


class Member(BaseModel):
    """A model with its weight among others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weight: float = Field(ge=0.0, le=1.0 + ROUNDING)
    path: Below
    """A file of a `ShallowModel`, or the folder of a network."""
    is_network: bool


def _sums_to_one(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Accept one or more models whose weights make a mean."""
    total = sum(member.weight for member in members)
    if not members or abs(total - 1.0) > ROUNDING:
        raise ValueError(f"{len(members)} models with weights that sum to {total:g}, not 1")
    return members


Blend = Annotated[tuple[Member, ...], AfterValidator(_sums_to_one)]


class Fold(BaseModel):
    """The models that did not see one outer fold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: Blend
    difficulty: Below
    """File of the model that predicts the size of errors."""


class Header(BaseModel):
    """What ``fit.json`` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["epitaxy-fit"] = FORMAT
    version: Literal[2] = VERSION
    spec: PropertySpec
    descriptors: tuple[str, ...]
    """Blocks of features that are described."""
    sources: tuple[Below, ...]
    """Blocks of features that are embeddings; models below ``sources/``."""
    folds: tuple[Fold, ...] = Field(min_length=1)
    """They make the intervals."""
    whole: Blend
    """They give the values: models that saw everything, and the networks of the folds."""


class Answer(NamedTuple):
    """What a bundle says of n crystals; all numbers in the unit of the property."""

    ids: np.ndarray
    values: np.ndarray
    """(n,), never outside the bounds."""
    lower: np.ndarray
    upper: np.ndarray
    domain: pd.DataFrame
    """One row per crystal, see `DomainFlags.frame`."""
    dropped: tuple[Dropped, ...]


@dataclass
class Bundle:
    """What `fit` hands over."""

    folder: Path
    header: Header
    calibration: Calibration

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Open the folder that `fit` wrote.

        Raises:
            InputError: a file is missing or damaged, or of another version.
        """
        folder = Path(folder)
        path = verified(folder / HEADER)
        try:
            content = read_json(path)
            version = content.get("version")
            header = Header(**content) if version == VERSION else None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{str(path)!r} cannot be read ({_reason(error)}); copy the whole run again."
            ) from error
        if header is None:
            raise InputError(
                f"{str(path)!r} has format version {version!r}, but this program reads version "
                f"{VERSION}; install a matching version of epitaxy."
            )
        return cls(folder, header, Calibration.load(folder))

    @property
    def name(self) -> str:
        """Name of the property."""
        return self.header.spec.name

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all properties that it predicts: one."""
        return (self.name,)

    @property
    def specs(self) -> dict[str, PropertySpec]:
        """Property name -> label and unit."""
        return {self.name: self.header.spec}

    @cached_property
    def sources(self) -> dict[str, PropertyModel]:
        """The models whose embeddings are features."""
        return {name: load_model(self.folder / "sources" / name) for name in self.header.sources}

    @property
    def members(self) -> list[Member]:
        """All models, some of them twice: those of the folds and those that give the values."""
        return [*(m for fold in self.header.folds for m in fold.members), *self.header.whole]

    @cached_property
    def shallow(self) -> dict[str, ShallowModel]:
        """The shallow models by their path."""
        paths = [m.path for m in self.members if not m.is_network]
        paths += [fold.difficulty for fold in self.header.folds]
        return {path: ShallowModel.load(self.folder / path) for path in dict.fromkeys(paths)}

    @cached_property
    def networks(self) -> dict[str, PropertyModel]:
        """The networks by their path."""
        paths = [m.path for m in self.members if m.is_network]
        return {path: load_model(self.folder / path) for path in dict.fromkeys(paths)}

    def answer(self, table: StructureTable) -> Answer:
        """Predict all crystals of a table that can be described; the others are in ``dropped``."""
        self._check()
        answers = []
        with Progress(len(table), "predicting") as bar:
            for start in range(0, len(table), CHUNK):
                part = table.select(np.arange(start, min(start + CHUNK, len(table))))
                with tempfile.TemporaryDirectory() as cache:
                    answers.append(self._part(part, Path(cache)))
                bar.step(len(part))
        ids, values, lower, upper = (np.concatenate([a[i] for a in answers]) for i in range(4))
        domain = pd.concat([a.domain for a in answers], ignore_index=True)
        lost = tuple(d for a in answers for d in a.dropped)
        return Answer(ids, values, lower, upper, domain, (*table.dropped, *lost))

    def _check(self) -> None:
        """Make sure that the files belong together.

        Raises:
            InputError: a model or the calibration reads what the header does not name, or there are
                other folds than were calibrated.
        """
        known = {*self.header.descriptors, *self.header.sources}
        read = {*self.calibration.blocks}.union(*(m.blocks for m in self.shallow.values()))
        folds, calibrated = len(self.header.folds), int(self.calibration.conformal.folds.max()) + 1
        if not known or read - known or folds != calibrated:
            raise InputError(
                f"The files of {str(self.folder)!r} do not belong together: {HEADER} names "
                f"{', '.join(sorted(known)) or 'no features'} and {folds} folds, its models read "
                f"{', '.join(sorted(read))} of {calibrated} folds; copy the whole run again."
            )

    def frame(self, table: StructureTable) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
        """Return the predictions as the table of `results.predictions`, and those of `Domain`."""
        found = self.answer(table)
        made = make_predictions(
            ids=found.ids,
            property_name=self.name,
            split="new",
            y_pred=found.values,
            y_lower=found.lower,
            y_upper=found.upper,
            unit=self.header.spec.unit,
        )
        return pd.concat([made, found.domain.drop(columns="id")], axis=1), found.dropped

    def _part(self, table: StructureTable, cache: Path) -> Answer:
        blocks = feature_blocks(table, self.header.descriptors, self.sources, cache=cache)
        usable = table.select(blocks.rows)
        kept, networks = self._network_values(usable, cache)
        values = {name: block[kept] for name, block in blocks.values.items()}
        by_fold = np.stack(
            [self._mean(fold.members, values, networks) for fold in self.header.folds], axis=1
        )
        mean = self._mean(self.header.whole, values, networks)
        spread = np.mean([self.shallow[f.difficulty](values) for f in self.header.folds], axis=0)
        usable = usable.select(kept)
        low, high = self.calibration.intervals(by_fold, spread)
        return Answer(
            usable.ids,
            mean,
            np.minimum(low, mean),
            np.maximum(high, mean),
            self.calibration.flags(usable, values).frame(usable.ids.tolist()),
            (*blocks.failures, *self._lost(table, blocks, usable)),
        )

    def _mean(
        self,
        members: Sequence[Member],
        values: Mapping[str, np.ndarray],
        networks: Mapping[str, np.ndarray],
    ) -> np.ndarray:
        """Return (n,) weighted means of what models predict."""
        total: np.ndarray = np.zeros(len(next(iter(values.values()))))
        for member in members:
            known = member.is_network
            total = total + member.weight * (
                networks[member.path] if known else self.shallow[member.path](values)
            )
        return total

    def _network_values(
        self, table: StructureTable, cache: Path
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the rows that all networks predict, and path -> predictions of these rows."""
        found = {
            path: predict_table(network, table, cache=cache, label="")
            for path, network in self.networks.items()
        }
        common = set(table.ids.tolist()).intersection(*(p.ids.tolist() for p in found.values()))
        rows = np.flatnonzero([i in common for i in table.ids.tolist()])
        return rows, {
            path: p.values[[i in common for i in p.ids.tolist()], 0] for path, p in found.items()
        }

    @staticmethod
    def _lost(
        table: StructureTable, blocks: FeatureBlocks, usable: StructureTable
    ) -> Sequence[Dropped]:
        """Return the crystals that were described, but for which a network has no graph."""
        left = set(table.ids[blocks.rows].tolist()) - set(usable.ids.tolist())
        return [Dropped(str(i), "no graph could be built") for i in table.ids if i in left]


def is_bundle(run: Any) -> bool:
    """Tell whether a run folder was written by `fit`."""
    return isinstance(run, str | Path) and (Path(run) / HEADER).is_file()


def write_header(folder: Path, header: Header) -> None:
    """Write ``fit.json``."""
    write_json(folder / HEADER, header.model_dump(mode="json"))


def _reason(error: Exception) -> str:
    """Return in one line why a header cannot be used."""
    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
    return str(error)

"""`CrystalRegressor`: the recipes as an estimator of scikit-learn.

>>> from epitaxy.sklearn import CrystalRegressor
>>> CrystalRegressor(recipe="finetune", from_model="zoo:cgcnn-band-gap", epochs=30)
CrystalRegressor(epochs=30, from_model='zoo:cgcnn-band-gap', recipe='finetune')
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, column_or_1d

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.properties import PropertySpec
from epitaxy.fitting.fit import fit as fit_best
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.mixture import mixture
from epitaxy.recipes.predict import predict
from epitaxy.recipes.running import without_reports
from epitaxy.recipes.train import train
from epitaxy.structures.distribution import propose_transform
from epitaxy.structures.grouping import AUTO
from epitaxy.structures.objects import table_of
from epitaxy.structures.splits import random_split
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")
TARGET = "target"
VERBS: dict[str, Any] = {"train": train, "finetune": finetune, "mixture": mixture}
NEEDED = (".json", ".safetensors", ".npz", ".parquet")
"""Endings of the files of a run that prediction reads."""


class CrystalRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Learns a number from crystal structures.

    X is a list of pymatgen structures, ASE atoms or paths of structure files, or a
    `StructureTable`; y has one number per crystal. Equal compositions, or near-duplicates, stay
    together where rows are set aside. A fitted estimator holds its model and needs no folder.

    Args:
        recipe: ``fit`` tries many ways within ``budget`` and takes the best; ``finetune`` needs
            ``from_model``, ``mixture`` needs ``experts``; ``train`` starts from random weights.
        from_model: run folder or ``zoo:NAME``, of ``finetune``.
        experts: as in `mixture`.
        strategy: what trains, of ``finetune`` and ``mixture``; None for their defaults.
        budget: ``90s``, ``30m``, ``2h`` or seconds, of ``fit``.
        epochs: passes over the training rows; None for the default, as below.
        learning_rate: largest learning rate.
        batch_size: crystals per step.
        scale: on which y is learned: identity, log or log1p; proposed from y when None.
        group_by: what stays together where rows are drawn, see `choose_grouping`.
        options: further arguments of the recipe.
        out: folder to keep the run in; it is thrown away when None. Leave it None in
            cross-validation, where many runs would share it.
        random_state: seed of everything random; a whole number for the same result every time.
    """

    def __init__(
        self,
        recipe: str = "fit",
        *,
        from_model: str | Path | None = None,
        experts: str | Sequence[str | Path] | None = None,
        strategy: str | None = None,
        budget: str | float | None = None,
        epochs: int | None = None,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        scale: str | None = None,
        group_by: str = AUTO,
        options: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        random_state: Any = 0,
    ) -> None:
        self.recipe = recipe
        self.from_model = from_model
        self.experts = experts
        self.strategy = strategy
        self.budget = budget
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.scale = scale
        self.group_by = group_by
        self.options = options
        self.out = out
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        tags.target_tags.required = True
        tags.non_deterministic = not isinstance(self.random_state, Integral)
        return tags

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - the names are those of scikit-learn
        """Learn from crystals X, n of them, and their values y, (n,); NaN in y is left out.

        Raises:
            InputError: a parameter, X or y is wrong.
        """
        arguments = self._arguments()
        table, rows = table_of(X)
        values = column_or_1d(y, dtype=np.float64, warn=True)
        n = len(table) + len(table.dropped)
        if len(values) != n:
            raise InputError(
                f"X has {n} crystals, but y has {len(values)} numbers; make them equal."
            )
        for dropped in table.dropped[:3]:
            logger.warning("Left out crystal %s of X: %s", dropped.id, dropped.reason)
        if np.isinf(values).any():
            raise InputError(
                f"y has {int(np.isinf(values).sum())} infinite numbers; give finite ones, or NaN "
                "for what is not known."
            )
        known = int(np.isfinite(values[rows]).sum())
        if known < 2:
            raise InputError(
                f"Too few crystals with a value to learn from: n_samples = {known}; give at least "
                "2, better 100 or more."
            )
        labelled = table.with_property(PropertySpec(name=TARGET), values[rows])
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary) / "run" if self.out is None else Path(self.out)
            self._run(labelled, place, arguments)
            self.files_ = _content(place)
        self.n_crystals_ = known
        return self

    def predict(self, X: Any, *, return_interval: bool = False) -> Any:  # noqa: N803
        """Predict crystals X.

        Args:
            X: n crystals, as in `fit`.
            return_interval: also return 90 % intervals; only with recipe ``fit``.

        Returns:
            (n,) values, NaN for crystals that cannot be read or have no graph; with
            ``return_interval`` also (n, 2) lower and upper bounds.

        Raises:
            InputError: no crystal can be predicted, or there are no intervals.
        """
        check_is_fitted(self, "files_")
        if return_interval and "fit.json" not in self.files_:
            raise InputError(
                f"The recipe {self.recipe!r} has no intervals; use recipe='fit' for them."
            )
        table, rows = table_of(X)
        n = len(table) + len(table.dropped)
        with tempfile.TemporaryDirectory() as temporary:
            for name, content in self.files_.items():
                path = Path(temporary) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            frame = predict(temporary, table)
        found = np.full((n, 3), np.nan)
        places = rows[table.rows_of(frame["id"])]
        found[places] = frame[["y_pred", "y_lower", "y_upper"]].to_numpy(dtype=np.float64)
        values = found[:, 0]
        return (values, found[:, 1:]) if return_interval else values

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments of the recipe that were given.

        Raises:
            InputError: the recipe is not known, lacks an argument, or does not take one.
        """
        if self.recipe != "fit" and self.recipe not in VERBS:
            raise unknown("recipe", str(self.recipe), ["fit", *VERBS])
        takes = {
            "fit": {"budget"},
            "train": {"scale", "epochs", "learning_rate", "batch_size"},
        }
        takes["mixture"] = takes["train"] | {"experts", "strategy"}
        takes["finetune"] = takes["train"] | {"from_model", "strategy"}
        names = sorted(set().union(*takes.values()))
        given = {k: v for k in names if (v := getattr(self, k)) is not None}
        useless = [name for name in given if name not in takes[self.recipe]]
        if useless:
            raise InputError(
                f"The recipe {self.recipe!r} does not use {useless[0]}; leave it out, or choose "
                "another recipe."
            )
        needed = {"finetune": "from_model", "mixture": "experts"}.get(self.recipe)
        if needed and needed not in {*given, *(self.options or {})}:
            raise InputError(f"The recipe {self.recipe!r} needs {needed}.")
        if "scale" in given:
            # An attribute called transform would make this a transformer for scikit-learn.
            given["transform"] = given.pop("scale")
        return {"group_by": self.group_by, **given, **(self.options or {})}

    def _run(self, table: StructureTable, place: Path, arguments: dict[str, Any]) -> None:
        state = self.random_state
        known = isinstance(state, Integral)
        seed = int(state) if known else int(check_random_state(state).randint(2**31))
        if self.recipe == "fit":
            fit_best(table, TARGET, place, seed=seed, **arguments)
            return
        labels = table.column(TARGET)
        proposal = propose_transform(labels[np.isfinite(labels)])
        labelled = table.select(np.isfinite(labels))
        with without_reports():
            VERBS[self.recipe](
                data=labelled,
                target=TARGET,
                out=place,
                split=random_split(
                    labelled,
                    seed=seed,
                    fractions=(0.9, 0.1, 0.0),
                    group_by=arguments["group_by"],
                ),
                seed=seed,
                **{"transform": proposal.transform, **arguments},
            )


def _content(folder: Path) -> dict[str, bytes]:
    """Return the files of a run that prediction needs, by their path below the folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in NEEDED and path.name != "predictions.parquet"
    }

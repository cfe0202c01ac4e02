"""The plan: what is tried within a budget, decided before anything runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from epitaxy.core.errors import InputError
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Candidate
from epitaxy.fitting.choosing import MEMBERS
from epitaxy.fitting.folds import FOLDS, pairs, partners
from epitaxy.fitting.pace import RESERVE, RESERVE_PER_ROW, Deadline
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.spaces import DEARER, SPACES, space_key

logger = logging.getLogger("epitaxy")
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
SHORTEST = 30.0
"""Seconds below which there is no time to do anything."""
START = 12.0
"""Seconds for starting processes, reading, card and report."""
PER_ROW = 0.012
"""Seconds per crystal for graphs, descriptors and embeddings."""
WITH_NETWORKS = 0.6
"""Part of the budget that shallow candidates may take where networks are to be tried, too."""
FINALISTS = 2
"""Networks per outer fold that are tried in full."""
EPOCHS = (120, 90, 60, 45, 30)
"""Lengths of full trainings, of which the longest that can be paid is taken."""
ENOUGH = 30
SCREENING = 4
"""A screening is so many times shorter."""
DIFFERENT = 1.5
"""Factor for outer folds that differ in their finalists, or in what they choose."""
ORDER = (
    ("constant",),
    ("kernel", "kernel-wide", "ridge"),
    ("extra-trees",),
    ("mlp",),
    ("boosting", "boosting-l1"),
)
"""Learners in the order in which they are paid for."""
FEATURES = ("constant", "descriptors", "combined", "embeddings")
"""Families in the order in which one learner is paid for; a comparison without transfer first."""
BASIC = 3
"""The first so many rows of `ORDER` come before more inner folds."""
MOST_REPEATS = 3
"""Repeats of the protocol that are made by themselves; more than these tell little."""
TUNING = 0.25
"""Part of the budget that is kept for tuning."""
SEARCHED = 2
"""Candidates with transfer, and as many without, that are tuned in each outer fold."""
TRIALS = (8, 40)
"""Fewest and most trials of a search."""
SAFETY = 0.1
"""Part of a deadline that is not planned for."""


@dataclass(frozen=True)
class Plan:
    """What is tried."""

    shallow: tuple[Candidate, ...]
    pairs: str
    """Which inner folds judge the shallow candidates, see `folds.pairs`."""
    left_out: tuple[str, ...]
    """Names of candidates for which the budget does not suffice."""
    seconds: float
    """Expected time of all trainings, on one core of this machine."""
    networks: tuple[Candidate, ...] = ()
    screening_epochs: int = 0
    """Length of the trainings that choose which networks are tried in full; 0 if all are."""
    epochs: int = 0
    """Length of full trainings."""
    finalists: int = 0
    """Networks per outer fold that are tried in full."""
    repeats: int = 1
    """How often all this is done, each time with other folds."""
    trials: Mapping[str, int] = field(default_factory=dict)
    """Name of a candidate -> hyperparameters that are tried in each outer fold where it is among
    the best."""

    def lines(self) -> list[str]:
        """Return the plan in words."""
        said = [
            f"tries          {len(self.shallow)} shallow candidates on {self.pairs} inner folds"
        ]
        if self.repeats > 1:
            said.append(f"repeats        {self.repeats}, each with other compositions in the folds")
        if self.networks:
            screened = (
                f"; the best {self.finalists} of {len(self.networks)} after "
                f"{self.screening_epochs} epochs"
                if self.screening_epochs
                else ""
            )
            said.append(f"networks       {self.epochs} epochs{screened}")
        if self.trials:
            told = ", ".join(f"{name} ({number})" for name, number in self.trials.items())
            said.append(f"tunes          in each outer fold the best of (trials): {told}")
        if self.left_out:
            said.append(f"no time for    {', '.join(self.left_out)}")
        said.append(f"expected       {self.seconds:.0f} s of computing on one core")
        return said


def seconds_of(duration: str | float, what: str = "budget") -> float:
    """Return a duration such as ``90s``, ``30m``, ``1.5h`` or a number of seconds in seconds.

    Raises:
        InputError: it is none, or too short.

    >>> seconds_of("3m")
    180.0
    """
    text = duration if isinstance(duration, str) else f"{duration:g}s"
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip().lower())
    if not found:
        raise InputError(
            f"The {what} {text!r} is no duration; write a number with s, m or h, for example 30m."
        )
    seconds = float(found[1]) * UNITS[found[2]]
    if seconds < SHORTEST:
        raise InputError(f"The {what} {text!r} is too short; give {SHORTEST:.0f}s or more.")
    return seconds


def deadline_of(given: str | float | Deadline | None) -> Deadline | None:
    """Return the deadline that begins now, if there is one, or a running one as it is.

    Raises:
        InputError: it is no duration, or too short.
    """
    if given is None or isinstance(given, Deadline):
        return given
    return Deadline.after(seconds_of(given, "deadline"))


def default_budget(rows: int) -> float:
    """Return the seconds for so many rows: 5 minutes, and one more for 50 rows, at most an hour.

    >>> default_budget(300), default_budget(1250)
    (660.0, 1800.0)
    """
    return 60.0 * min(5 + rows // 50, 60)


def budget_within(deadline: float, rows: int) -> float:
    """Return the budget in seconds that a deadline leaves: without the writing, and a tenth.

    >>> budget_within(180.0, 300)
    158.4
    """
    return max((1 - SAFETY) * deadline - RESERVE - RESERVE_PER_ROW * rows, START)


def make_plan(
    problem: Problem,
    families: Sequence[str],
    budget: float,
    threads: int,
    *,
    repeats: int | None = None,
    tune: bool = False,
    factor: float = 1.0,
) -> Plan:
    """Decide what is tried; it depends on nothing but the arguments.

    Args:
        problem: what is to be learned.
        families: names in `FAMILIES`.
        budget: seconds that this machine may take when nothing else runs on it.
        threads: processes that work at a time.
        repeats: of all that is tried, for which the budget is divided. None takes as many, up to
            `MOST_REPEATS`, as leave each what it would be alone.
        tune: also seek hyperparameters.
        factor: seconds here for one second of the machine of the measurements.
    """
    purse = max(budget / factor - START - PER_ROW * len(problem.table), 5.0) * threads
    found = _repeated(problem, families, purse, repeats, tune=tune)
    return replace(found, seconds=factor * found.seconds)


def _repeated(
    problem: Problem, families: Sequence[str], purse: float, repeats: int | None, *, tune: bool
) -> Plan:
    """Plan for a purse, in seconds of one core of the machine of the measurements."""
    if repeats is not None:
        return _plan(problem, families, purse, repeats, tune=tune)
    alone = _plan(problem, families, purse, 1, tune=tune)
    for number in range(MOST_REPEATS, 1, -1):
        found = _plan(problem, families, purse, number, tune=tune)
        if replace(found, repeats=1, seconds=alone.seconds) == alone:
            return found
    return alone


def _plan(
    problem: Problem, families: Sequence[str], purse: float, repeats: int, *, tune: bool
) -> Plan:
    """Plan for a purse (seconds of one core) that is divided among repeats."""
    purse = purse / repeats
    candidates = [c for name in families for c in FAMILIES[name].propose(problem)]
    networks = [c for c in candidates if FAMILIES[c.family].is_network]
    shallow = [c for c in candidates if not FAMILIES[c.family].is_network]
    untuned = (1 - TUNING) * purse if tune else purse
    how, kept, spent = _shallow(problem, shallow, (WITH_NETWORKS if networks else 1.0) * untuned)
    chosen, epochs, more = _networks(problem, networks, untuned - spent)
    if networks and not chosen:
        how, kept, spent = _shallow(problem, shallow, untuned)
    left_out = tuple(c.name for c in candidates if c not in kept and c not in chosen)
    trials: dict[str, int] = {}
    if tune:
        rest = purse - spent - more
        trials, tuning = shallow_trials(problem, kept, how, TUNING * purse if chosen else rest)
        further, longer = network_trials(problem, chosen, rest - tuning)
        trials, more = {**trials, **further}, more + tuning + longer
        left_out += () if trials else ("tuning",)
    return Plan(
        shallow=tuple(kept),
        pairs=how,
        left_out=left_out,
        seconds=repeats * (spent + more),
        networks=tuple(chosen),
        screening_epochs=epochs // SCREENING if len(chosen) > FINALISTS else 0,
        epochs=epochs,
        finalists=min(FINALISTS, len(chosen)),
        repeats=repeats,
        trials=trials,
    )


def _networks(
    problem: Problem, networks: Sequence[Candidate], purse: float
) -> tuple[list[Candidate], int, float]:
    """Return the networks that can be paid, for how many epochs, and what they cost.

    The most expensive are left out until `ENOUGH` epochs can be paid; the rest is spent on epochs.
    """
    chosen = list(networks)
    while chosen:
        costs = {epochs: network_cost(problem, chosen, epochs) for epochs in EPOCHS}
        fitting = [epochs for epochs in EPOCHS if costs[epochs] <= purse]
        if fitting and fitting[0] >= ENOUGH:
            return chosen, fitting[0], costs[fitting[0]]
        chosen.remove(max(reversed(chosen), key=lambda c: training_cost(problem, c, 1.0, ENOUGH)))
    return [], 0, 0.0


def training_cost(problem: Problem, network: Candidate, share: float, epochs: int) -> float:
    """Return the expected time of one training on a share of the rows."""
    rows = round(len(problem.table) * share)
    return float(FAMILIES[network.family].seconds(network, problem, rows, epochs))


def network_cost(problem: Problem, networks: Sequence[Candidate], epochs: int) -> float:
    """Return the expected time of trying networks: screening, judging in full, final training.

    The finalists are taken for the most expensive ones, and outer folds may differ in theirs.
    """
    judging = 1 - 2 / FOLDS
    screening = 0.0
    if len(networks) > FINALISTS:
        short = epochs // SCREENING
        costs = [training_cost(problem, c, judging, short) for c in networks]
        screening = len(pairs("cover")) * sum(costs)
    each = (training_cost(problem, c, judging, epochs) for c in networks)
    dearest = sorted(each, reverse=True)[:FINALISTS]
    full = DIFFERENT * len(pairs("ring")) * sum(dearest)
    return screening + full + final_network_cost(problem, networks, epochs)


def final_network_cost(problem: Problem, networks: Sequence[Candidate], epochs: int) -> float:
    """Return the expected time of training the chosen networks, the dearest, in each outer fold."""
    each = (training_cost(problem, c, 1 - 1 / FOLDS, epochs) for c in networks)
    return FOLDS * sum(sorted(each, reverse=True)[:FINALISTS])


def _shallow(
    problem: Problem, shallow: Sequence[Candidate], purse: float
) -> tuple[str, list[Candidate], float]:
    """Return how many pairs judge, the candidates that can be paid, and what they cost.

    More inner rows come before more candidates, but not before all basic ones.
    """
    for how in ("all", "ring"):
        kept, spent = _affordable(problem, shallow, how, purse)
        if not _basic(shallow) - _basic(kept):
            return how, kept, spent
    return ("cover", *_affordable(problem, shallow, "cover", purse))


def _affordable(
    problem: Problem, shallow: Sequence[Candidate], how: str, purse: float
) -> tuple[list[Candidate], float]:
    """Return the candidates, the most useful for their time first, that can be paid."""
    judging = {c.name: judging_cost(problem, c, how) for c in shallow}
    kept: list[Candidate] = []
    spent = 0.0
    for candidate in sorted(shallow, key=lambda c: (*_rank(c), judging[c.name], c.name)):
        tried = [*kept, candidate]
        total = sum(judging[c.name] for c in tried) + final_cost(problem, tried)
        if not kept or total <= purse:
            kept, spent = tried, total
    return kept, spent


def judging_cost(problem: Problem, candidate: Candidate, how: str) -> float:
    """Return the expected time of judging a shallow candidate on all learning scales."""
    scales = max(len(problem.transforms(outer)) for outer in range(FOLDS))
    rows = round(len(problem.table) * (1 - 2 / FOLDS))
    per_training = FAMILIES[candidate.family].seconds(candidate, problem, rows)
    return float(scales * len(pairs(how)) * per_training)


def final_cost(problem: Problem, candidates: Sequence[Candidate]) -> float:
    """Return the expected time of training the chosen shallow candidates, the dearest ones.

    They are trained once in each outer fold, and on everything, where folds may differ in theirs.
    """

    def dearest(rows: int) -> float:
        costs = [FAMILIES[c.family].seconds(c, problem, rows) for c in candidates]
        return float(sum(sorted(costs, reverse=True)[:MEMBERS]))

    rows = len(problem.table)
    return FOLDS * dearest(round(rows * (1 - 1 / FOLDS))) + DIFFERENT * dearest(rows)


def _rank(candidate: Candidate) -> tuple[int, int]:
    """Return the places of learner and features in the order in which they are paid for."""
    learner = candidate.settings["learner"]
    place = next(rank for rank, names in enumerate(ORDER) if learner in names)
    return place, FEATURES.index(candidate.family)


def _basic(candidates: Sequence[Candidate]) -> set[str]:
    """Return the names of those candidates that must not be missing on more inner folds."""
    return {c.name for c in candidates if _rank(c)[0] < BASIC}


def shallow_trials(
    problem: Problem, candidates: Sequence[Candidate], how: str, purse: float
) -> tuple[dict[str, int], float]:
    """Return the trials of shallow candidates, see `Plan.trials`, and what they cost.

    Hyperparameters need two inner folds: one that chooses them and one that judges the choice.
    """
    if how == "cover":
        return {}, 0.0
    rows = round(len(problem.table) * (1 - 2 / FOLDS))
    inner = len(partners(pairs(how), 0))
    costs = {
        c.name: inner
        * DEARER.get(space_key(c).removesuffix("-l1"), 1.0)
        * FAMILIES[c.family].seconds(c, problem, rows)
        for c in candidates
        if space_key(c) in SPACES
    }
    return _trials(candidates, costs, purse)


def network_trials(
    problem: Problem, networks: Sequence[Candidate], purse: float
) -> tuple[dict[str, int], float]:
    """Return the trials of networks, see `Plan.trials`, and what they cost."""
    inner = len(partners(pairs("ring"), 0))
    costs = {
        c.name: inner * training_cost(problem, c, 1 - 2 / FOLDS, max(EPOCHS)) for c in networks
    }
    return _trials(networks, costs, purse)


def _trials(
    candidates: Sequence[Candidate], costs: Mapping[str, float], purse: float
) -> tuple[dict[str, int], float]:
    """Divide a purse among the searches; ``costs`` are those of one trial in one outer fold."""
    able = [c for c in candidates if c.name in costs]
    kinds = {FAMILIES[c.family].transfers for c in able}
    share = purse / (FOLDS * SEARCHED * max(len(kinds), 1))
    numbers = {c.name: min(TRIALS[1], int(share / costs[c.name])) for c in able}
    trials = {name: number for name, number in numbers.items() if number >= TRIALS[0]}
    spent = 0.0
    for kind in kinds:
        dear = [
            trials[c.name] * costs[c.name]
            for c in able
            if c.name in trials and FAMILIES[c.family].transfers == kind
        ]
        spent += FOLDS * sum(sorted(dear, reverse=True)[:SEARCHED])
    return trials, spent

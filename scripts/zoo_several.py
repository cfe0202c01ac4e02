"""Put a model of several properties, which `multi_property.py` has trained, into the zoo.

    python scripts/multi_property.py DATASETS --runs RUNS --targets ph dc ebg jarvis_2d --only jarvis_2d --kinds all
    python scripts/zoo_several.py DATASETS RUNS cgcnn-seven-properties
    python scripts/multi_property.py DATASETS --runs RUNS --model alignn --targets ph dc ebg jarvis_2d --only ph --kinds all --one-rate
    python scripts/zoo_several.py DATASETS RUNS alignn-six-properties

The first is ``RUNS/cgcnn/all-for-jarvis_2d``, which has seen no material of the published test rows of any of the
seven; its errors are those on these rows. The second is ``RUNS/alignn/all-for-ph``, without phonons and without the
materials of their test rows; its errors are those on its validation rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from epitaxy.checkpoints.learned import Learned, read_learned
from epitaxy.checkpoints.model_files import load_model, save_model
from epitaxy.core.checksums import protect
from epitaxy.core.properties import PropertySpec
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.predict import predict
from epitaxy.results.history import read_history
from epitaxy.results.metrics import metrics
from epitaxy.results.predictions import read_predictions
from epitaxy.structures.reading import read_table
from epitaxy.structures.selecting import select
from pretrain_zoo import ZOO, processor


class Shipped(NamedTuple):
    """A model of the zoo."""

    run: str
    command: str
    """What trained it."""
    scored: str
    title: str
    recipe: str


TRAINED = "python scripts/multi_property.py DATASETS --runs RUNS --targets ph dc ebg jarvis_2d"
PUBLISHED = (
    "on the published test rows of each table (Devi et al. 2024; for `formation_energy` and "
    "`band_gap` rows outside its trials); no material of any of them, whatever the property, was "
    "used for training"
)
VALIDATION = (
    "on the validation rows (a tenth of the materials), by which the epoch was chosen; phonon "
    "peaks and the materials of their published test rows were left out altogether"
)
MODELS = {
    "cgcnn-seven-properties": Shipped(
        "cgcnn/all-for-jarvis_2d",
        f"{TRAINED} --only jarvis_2d --kinds all",
        PUBLISHED,
        "Seven properties from crystal structures, a start for any other: CGCNN",
        "L1 loss",
    ),
    "alignn-six-properties": Shipped(
        "alignn/all-for-ph",
        f"{TRAINED} --model alignn --only ph --kinds all --one-rate",
        VALIDATION,
        "Six properties from crystal structures, a start for any other: ALIGNN of width 64",
        "L1 loss, bfloat16",
    ),
}
PROJECT = "Materials Project through matminer, as selected by Devi et al. 2024"
CC_BY = "CC BY 4.0"


def computed(name: str, label: str, unit: str, citation: str, functional: str = "") -> PropertySpec:
    """Describe a property that the Materials Project computed."""
    return PropertySpec(
        name=name,
        label=label,
        unit=unit,
        source=PROJECT,
        licence=CC_BY,
        citation=citation,
        functional=functional,
    )


JAIN = "Jain et al., APL Mater. 1, 011002 (2013)"
SPECS = {
    "gv": computed(
        "shear_modulus_log10",
        "log10 of the shear modulus (Voigt-Reuss-Hill)",
        "log10(GPa)",
        "de Jong et al., Sci. Data 2, 150009 (2015)",
    ),
    "ph": computed(
        "phonon_peak",
        "Highest peak of the phonon density of states",
        "cm^-1",
        "Petretto et al., Sci. Data 5, 180065 (2018)",
    ),
    "pz": computed(
        "piezoelectric_modulus",
        "Largest piezoelectric modulus",
        "C/m^2",
        "de Jong et al., Sci. Data 2, 150053 (2015)",
    ),
    "dc": computed(
        "dielectric_constant",
        "Total dielectric constant, poly-crystalline",
        "",
        "Petousis et al., Sci. Data 4, 160134 (2017)",
    ),
    "ebg": PropertySpec(
        name="band_gap_measured",
        label="Band gap (measured)",
        unit="eV",
        source="matminer, as selected by Devi et al. 2024",
        licence="not stated",
        citation="Zhuo, Mansouri Tehrani, Brgoch, J. Phys. Chem. Lett. 9, 1668 (2018)",
    ),
    "fe": computed("formation_energy", "Formation energy (PBE)", "eV/atom", JAIN, "PBE"),
    "bg": computed("band_gap", "Band gap (PBE)", "eV", JAIN, "PBE"),
}
CARD = """# {name}

{title} with {parameters:,} parameters, trained by us.

| property | unit | rows for training | MAE (95 % interval) | rows of the MAE | a constant would have | data |
|---|---|---|---|---|---|---|
{rows}

| | |
|---|---|
| Data | {crystals:,} materials of {tables} tables joined by structure ({project}); most have one or two of the properties |
| Test error | MAE {mae:.3g} {unit} for `{first}`, the others above; {scored} |
| Graphs | rule `{rule}`, {neighbours} nearest neighbours and their complete shell within {cutoff:g} Å{angles} |
| Training | {epochs} epochs, recipe for several properties (AdamW, one-cycle schedule, {loss}, every property counts the same, rare ones drawn more often), weights of the epoch with the best mean rank over the properties |
| Time | {minutes:.0f} min, one thread of {machine} |
| Licence | weights MIT; data CC BY 4.0, for `band_gap_measured` not stated |
| Citation | Devi, Butler, Sai Gautam, npj Comput. Mater. 10, 300 (2024), and those of the properties (`model.json`) |
| Made by | `{command}`, then `python scripts/zoo_several.py DATASETS RUNS {name}` |

`epitaxy finetune DATA --target P --from zoo:{name}` takes the encoder and a new head; with `--strategy full+inherit-head` and a target of one of these names,
the head goes on, too.
"""


class Tested(NamedTuple):
    """Error of one property."""

    spec: PropertySpec
    frame: pd.DataFrame
    constant: float
    trained: int


def renamed(model: PropertyModel) -> PropertyModel:
    """Give the heads their readable names."""
    heads = {}
    for name in model.names:
        head = model.head(name)
        head.spec = SPECS[name]
        heads[head.spec.name] = head
    origin = {"data": f"{PROJECT}: {', '.join(model.names)}, joined by structure"}
    return PropertyModel(model.architecture, model.encoder, heads, origin)


def on_published_rows(datasets: Path, name: str, folder: Path) -> pd.DataFrame:
    """Predict the published test rows of one table with the model in ``folder``."""
    table = read_table(datasets / f"{name}.parquet", target="target")
    rows = select(table, f"{datasets / name}.splits.json:test")
    answers = predict(folder, rows)
    answers = answers[answers["property"] == SPECS[name].name].set_index("id")
    truth = pd.Series(rows.values["target"], index=[str(i) for i in rows.ids], name="y_true")
    return answers.drop(columns="y_true").join(truth).reset_index()


def on_validation_rows(name: str, before: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions of validation rows from when the model was trained."""
    rows = before[(before["property"] == name) & (before["split"] == "val")]
    return rows[rows["y_true"].notna()].assign(property=SPECS[name].name)


def tested(name: str, frame: pd.DataFrame, before: pd.DataFrame) -> Tested:
    """Compare predictions of one property with the median of the training rows."""
    seen = before[(before["property"] == name) & before["y_true"].notna()]
    centre = seen[seen["split"] == "train"]["y_true"].median()
    constant = float((frame["y_true"] - centre).abs().mean())
    count = int((seen["split"] == "train").sum())
    return Tested(SPECS[name], frame.assign(split="test"), constant, count)


def row(found: Tested) -> str:
    """Return one row of the card."""
    spec, frame = found.spec, found.frame
    low, high = metrics(frame)["test"][spec.name]["mae_interval"]
    mae = (frame["y_true"] - frame["y_pred"]).abs().mean()
    return (
        f"| `{spec.name}` | {spec.unit or '-'} | {found.trained:,} | {mae:.3g} ({low:.3g} to "
        f"{high:.3g}) | {len(frame):,} | {found.constant:.3g} | {spec.citation} |"
    )


def learned(run: Path) -> Learned:
    """Return what a run has learned, under the readable names."""
    return Learned({SPECS[name].name: found for name, found in read_learned(run).of.items()})


def main() -> None:
    """Write the folder of the zoo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("name", choices=list(MODELS))
    options = parser.parse_args()
    shipped = MODELS[options.name]
    run = options.runs / shipped.run
    model, before = load_model(run), read_predictions(run / "predictions.parquet")
    names = model.names
    folder = ZOO / options.name
    folder.mkdir(exist_ok=True)
    model = renamed(model)
    save_model(model, folder)
    learned(run).write(folder)
    protect(folder)
    frames = [
        on_published_rows(options.datasets, name, folder)
        if shipped.scored is PUBLISHED
        else on_validation_rows(name, before)
        for name in names
    ]
    scores = [tested(name, f, before) for name, f in zip(names, frames, strict=True)]
    history = read_history(run / "history.csv")
    recipe, first = model.recipe, scores[0]
    card = CARD.format(
        name=options.name,
        title=shipped.title,
        scored=shipped.scored,
        loss=shipped.recipe,
        command=shipped.command,
        tables=len(names),
        parameters=sum(p.numel() for p in model.parameters()),
        first=first.spec.name,
        unit=first.spec.unit,
        mae=(first.frame["y_true"] - first.frame["y_pred"]).abs().mean(),
        rows="\n".join(row(found) for found in scores),
        crystals=before["id"].nunique(),
        project=PROJECT,
        rule=recipe.rule,
        neighbours=recipe.neighbours,
        cutoff=recipe.cutoff,
        angles=", with angles" if recipe.bond_vectors else "",
        epochs=len(history),
        minutes=history["seconds"].sum() / 60,
        machine=processor(),
    )
    (folder / "card.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()

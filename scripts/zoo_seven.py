"""Put the model of all seven properties into the zoo, with its errors on the published test rows.

    python scripts/multi_property.py DATASETS --runs RUNS --targets ph dc ebg jarvis_2d --only jarvis_2d --kinds all
    python scripts/zoo_seven.py DATASETS RUNS

The model is ``RUNS/cgcnn/all-for-jarvis_2d``; it has seen no material of the published test rows of any of the seven.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from epitaxy.checkpoints.learned import Learned
from epitaxy.checkpoints.model_files import load_model, save_model
from epitaxy.core.properties import PropertySpec
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.predict import predict
from epitaxy.results.history import read_history
from epitaxy.results.metrics import mae_interval
from epitaxy.results.predictions import read_predictions
from epitaxy.structures.reading import read_table
from epitaxy.structures.selecting import select
from pretrain_zoo import ZOO, processor

NAME = "cgcnn-seven-properties"
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

Seven properties from crystal structures, a start for any other: CGCNN with {parameters:,} parameters, trained by us.

| property | unit | rows for training | MAE on the test rows (95 % interval) | test rows | a constant would have | data |
|---|---|---|---|---|---|---|
{rows}

| | |
|---|---|
| Data | {crystals:,} materials of seven tables joined by structure ({project}); most have one or two of the properties |
| Test error | MAE {mae:.3g} {unit} for `{first}`, the others above; on the published test rows of each table (Devi et al. 2024; for `formation_energy` and `band_gap` rows outside its trials); no material of any of them, whatever the property, was used for training |
| Graphs | rule `{rule}`, {neighbours} nearest neighbours and their complete shell within {cutoff:g} Å |
| Training | {epochs} epochs, recipe for several properties (AdamW, one-cycle schedule, L1 loss, every property counts the same, rare ones drawn more often), weights of the epoch with the best mean rank over the properties |
| Time | {minutes:.0f} min, one thread of {machine} |
| Licence | weights MIT; data CC BY 4.0, for `band_gap_measured` not stated |
| Citation | Devi, Butler, Sai Gautam, npj Comput. Mater. 10, 300 (2024), and those of the properties (`model.json`) |
| Made by | `python scripts/multi_property.py DATASETS --runs RUNS --targets ph dc ebg jarvis_2d --only jarvis_2d --kinds all`, then `python scripts/zoo_seven.py DATASETS RUNS` |

`epitaxy finetune DATA --target P --from zoo:{name}` takes the encoder and a new head; with `--strategy full+inherit-head` and a target of one of these names,
the head goes on, too.
"""


class Tested(NamedTuple):
    """Error of one property on its published test rows."""

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


def tested(datasets: Path, name: str, folder: Path, before: pd.DataFrame) -> Tested:
    """Score the model in ``folder`` on the published test rows of one table."""
    table = read_table(datasets / f"{name}.parquet", target="target")
    rows = select(table, f"{datasets / name}.splits.json:test")
    answers = predict(folder, rows)
    spec = SPECS[name]
    answers = answers[answers["property"] == spec.name].set_index("id")
    truth = pd.Series(rows.values["target"], index=[str(i) for i in rows.ids], name="y_true")
    frame = answers.drop(columns="y_true").join(truth).reset_index().assign(split="test")
    seen = before[(before["property"] == name) & before["y_true"].notna()]
    centre = seen[seen["split"] == "train"]["y_true"].median()
    constant = float((frame["y_true"] - centre).abs().mean())
    return Tested(spec, frame, constant, int((seen["split"] == "train").sum()))


def row(found: Tested) -> str:
    """Return one row of the card."""
    spec, frame = found.spec, found.frame
    low, high = mae_interval(frame, "test", spec.name) or (float("nan"),) * 2
    mae = (frame["y_true"] - frame["y_pred"]).abs().mean()
    return (
        f"| `{spec.name}` | {spec.unit or '-'} | {found.trained:,} | {mae:.3g} ({low:.3g} to "
        f"{high:.3g}) | {len(frame):,} | {found.constant:.3g} | {spec.citation} |"
    )


def learned(before: pd.DataFrame, merged: Path) -> Learned:
    """Return what the model has learned of which compositions."""
    table = read_table(merged)
    formulas = dict(zip([str(i) for i in table.ids], table.formulas, strict=True))
    labels = before.pivot_table(index="id", columns="property", values="y_true", aggfunc="first")
    names = [SPECS[name].name for name in labels.columns]
    return Learned.from_labels([formulas[i] for i in labels.index], labels.to_numpy(), names)


def main() -> None:
    """Write the folder of the zoo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    run = options.runs / "cgcnn" / "all-for-jarvis_2d"
    model, before = load_model(run), read_predictions(run / "predictions.parquet")
    names = model.names
    folder = ZOO / NAME
    folder.mkdir(exist_ok=True)
    model = renamed(model)
    save_model(model, folder)
    learned(before, options.runs / "all.parquet").write(folder)
    scores = [tested(options.datasets, name, folder, before) for name in names]
    history = read_history(run / "history.csv")
    recipe, first = model.recipe, scores[0]
    card = CARD.format(
        name=NAME,
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
        epochs=len(history),
        minutes=history["seconds"].sum() / 60,
        machine=processor(),
    )
    (folder / "card.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Transfer learning of materials properties with graph neural networks.

The names below are imported when they are first used, so that ``import epitaxy`` stays quick.

>>> import epitaxy
>>> table = epitaxy.read_table("demo:semiconductors", target="gap")
>>> len(table) > 100
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epitaxy.checkpoints.model_files import load_model
    from epitaxy.core.errors import InputError
    from epitaxy.fitting.fit import fit
    from epitaxy.fitting.matbench import matbench
    from epitaxy.graphs.recipe import GraphRecipe
    from epitaxy.recipes.analyse_gates import analyse_gates
    from epitaxy.recipes.analyse_shift import analyse_shift
    from epitaxy.recipes.best_source import finetune_best
    from epitaxy.recipes.evaluate import evaluate
    from epitaxy.recipes.exporting import export_checkpoint
    from epitaxy.recipes.finetune import finetune, show_plan
    from epitaxy.recipes.importing import import_checkpoint
    from epitaxy.recipes.mixture import mixture
    from epitaxy.recipes.predict import predict, predict_prototype
    from epitaxy.recipes.running import Run, read_run
    from epitaxy.recipes.train import train
    from epitaxy.reports.data_report import data_report
    from epitaxy.structures.matching import same_material
    from epitaxy.structures.merging import merge_tables
    from epitaxy.structures.reading import read_structures, read_table
    from epitaxy.structures.splits import Split, kfold, random_split
    from epitaxy.structures.table import StructureTable
    from epitaxy.studies.budget import budget
    from epitaxy.studies.report import study_report
    from epitaxy.studies.results import study_results
    from epitaxy.studies.run import run_study
    from epitaxy.studies.scaling import scaling
    from epitaxy.studies.status import study_status

_HOMES = {
    "GraphRecipe": "epitaxy.graphs.recipe",
    "InputError": "epitaxy.core.errors",
    "Run": "epitaxy.recipes.running",
    "Split": "epitaxy.structures.splits",
    "StructureTable": "epitaxy.structures.table",
    "analyse_gates": "epitaxy.recipes.analyse_gates",
    "analyse_shift": "epitaxy.recipes.analyse_shift",
    "budget": "epitaxy.studies.budget",
    "data_report": "epitaxy.reports.data_report",
    "evaluate": "epitaxy.recipes.evaluate",
    "export_checkpoint": "epitaxy.recipes.exporting",
    "finetune": "epitaxy.recipes.finetune",
    "finetune_best": "epitaxy.recipes.best_source",
    "fit": "epitaxy.fitting.fit",
    "import_checkpoint": "epitaxy.recipes.importing",
    "kfold": "epitaxy.structures.splits",
    "load_model": "epitaxy.checkpoints.model_files",
    "matbench": "epitaxy.fitting.matbench",
    "merge_tables": "epitaxy.structures.merging",
    "mixture": "epitaxy.recipes.mixture",
    "predict": "epitaxy.recipes.predict",
    "predict_prototype": "epitaxy.recipes.predict",
    "random_split": "epitaxy.structures.splits",
    "read_run": "epitaxy.recipes.running",
    "read_structures": "epitaxy.structures.reading",
    "read_table": "epitaxy.structures.reading",
    "run_study": "epitaxy.studies.run",
    "same_material": "epitaxy.structures.matching",
    "scaling": "epitaxy.studies.scaling",
    "show_plan": "epitaxy.recipes.finetune",
    "study_report": "epitaxy.studies.report",
    "study_results": "epitaxy.studies.results",
    "study_status": "epitaxy.studies.status",
    "train": "epitaxy.recipes.train",
}

__all__ = [
    "GraphRecipe",
    "InputError",
    "Run",
    "Split",
    "StructureTable",
    "analyse_gates",
    "analyse_shift",
    "budget",
    "data_report",
    "evaluate",
    "export_checkpoint",
    "finetune",
    "finetune_best",
    "fit",
    "import_checkpoint",
    "kfold",
    "load_model",
    "matbench",
    "merge_tables",
    "mixture",
    "predict",
    "predict_prototype",
    "random_split",
    "read_run",
    "read_structures",
    "read_table",
    "run_study",
    "same_material",
    "scaling",
    "show_plan",
    "study_report",
    "study_results",
    "study_status",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("epitaxy")
    if name not in _HOMES:
        raise AttributeError(f"module 'epitaxy' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""Candidates: ways of learning a property, by family."""

from epitaxy.core.registry import Registry

FAMILIES = Registry(
    "candidate",
    {
        "constant": "epitaxy.fitting.candidates.constant:CONSTANT",
        "descriptors": "epitaxy.fitting.candidates.descriptors:DESCRIPTORS_ALONE",
        "embeddings": "epitaxy.fitting.candidates.embeddings:EMBEDDINGS",
        "combined": "epitaxy.fitting.candidates.combined:COMBINED",
        "head": "epitaxy.fitting.candidates.head:HEAD",
        "mixture": "epitaxy.fitting.candidates.mixing:MIXING",
        "finetune": "epitaxy.fitting.candidates.fine_tuning:FINE_TUNING",
        "scratch": "epitaxy.fitting.candidates.scratch:FROM_SCRATCH",
    },
)
"""Name -> `Family`. To add one: a file here and a line in this table."""

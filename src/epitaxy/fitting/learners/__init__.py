"""Shallow learners: standardised features and scaled labels in, plain arrays out."""

from epitaxy.core.registry import Registry

LEARNERS = Registry(
    "learner",
    {
        "boosting": "epitaxy.fitting.learners.boosting:boosting",
        "boosting-l1": "epitaxy.fitting.learners.boosting:absolute_boosting",
        "constant": "epitaxy.fitting.learners.constant:constant",
        "extra-trees": "epitaxy.fitting.learners.extra_trees:extra_trees",
        "kernel": "epitaxy.fitting.learners.kernel:kernel",
        "kernel-wide": "epitaxy.fitting.learners.kernel:wide_kernel",
        "mlp": "epitaxy.fitting.learners.mlp:mlp",
        "ridge": "epitaxy.fitting.learners.ridge:ridge",
    },
)
"""Name -> function ``(features (n, F), labels (n,), seed) -> Learned``, with hyperparameters as
keyword arguments. To add one: a file here and a line in this table, with its cost in
`epitaxy.fitting.learners.costs`, and what can be tuned in `epitaxy.fitting.spaces`."""

"""One file per way of executing the runs of a study: a class with the methods of `Executor`."""

from epitaxy.core.registry import Registry

EXECUTORS = Registry(
    "executor",
    {
        "local": "epitaxy.studies.executors.local:LocalExecutor",
        "ray": "epitaxy.studies.executors.ray:RayExecutor",
    },
)
"""Name -> class, see `Executor` for what it is made from. To add one: a file here and a line in
this table."""

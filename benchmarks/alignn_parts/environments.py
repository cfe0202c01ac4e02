"""Environments with the official ALIGNN packages, made once and used again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Environment(NamedTuple):
    """Exact versions of what is installed."""

    alone: tuple[str, ...]
    """Installed without what they declare to need."""
    needed: tuple[str, ...]
    """Installed with what they need."""


# The wheel of torch 2.2.1 is linked against CUDA, so that its libraries have to be there even if no
# graphics card is; triton, nvrtc and cusolver are loaded later or never.
CUDA = (
    "nvidia-cublas-cu12==12.1.3.1",
    "nvidia-cuda-cupti-cu12==12.1.105",
    "nvidia-cuda-runtime-cu12==12.1.105",
    "nvidia-cudnn-cu12==8.9.2.26",
    "nvidia-cufft-cu12==11.0.2.54",
    "nvidia-curand-cu12==10.3.2.106",
    "nvidia-cusparse-cu12==12.1.0.106",
    "nvidia-nccl-cu12==2.19.3",
    "nvidia-nvjitlink-cu12==12.1.105",
    "nvidia-nvtx-cu12==12.1.105",
)

ENVIRONMENTS = {
    "2023": Environment(
        alone=(
            "alignn==2023.4.1",
            "dgl==2.1.0",
            "jarvis-tools==2023.12.12",
            "pytorch-ignite==0.5.1",
            "torch==2.2.1",
            "torchdata==0.7.1",
            *CUDA,
        ),
        needed=(
            "ase==3.23.0",
            "filelock",
            "fsspec",
            "jinja2",
            "joblib",
            "matplotlib==3.9.2",
            "networkx",
            "numpy==1.26.4",
            "pandas==2.2.3",
            "psutil",
            "pydantic==1.10.19",
            "pyparsing==2.4.7",
            "pyyaml",
            "requests",
            "scikit-learn==1.5.2",
            "scipy==1.13.1",
            "spglib==2.5.0",
            "sympy",
            "toolz",
            "tqdm",
            "typing-extensions",
            "xmltodict",
        ),
    ),
    "2026": Environment(
        alone=("alignn==2026.8.11",),
        needed=(
            "ase==3.29.0",
            "jarvis-tools==2026.6.12",
            "lmdb==3.0.0",
            "matplotlib==3.11.2",
            "mpmath",
            "numpy==2.4.6",
            "pandas==3.1.1",
            "pydantic==2.14.3",
            "pydantic-settings==2.16.3",
            "pyparsing",
            "scikit-learn==1.9.1",
            "scipy==1.17.1",
            "spglib==2.8.0",
            "torch==2.13.0",
            "tqdm",
        ),
    ),
}


def default_folder() -> Path:
    """Return the folder of the environments in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "epitaxy-bench"


def environment(name: str, folder: Path, python: str) -> Path:
    """Return the interpreter of an environment; make the environment if it is not there yet.

    The one of 2023 takes 5 GB of disk, the one of 2026 1.6 GB with a torch for CPUs only.
    """
    wanted = ENVIRONMENTS[name]
    home = folder / name
    interpreter, stamp = home / "bin" / "python", home / "installed.txt"
    content = "\n".join([python, *wanted.alone, *wanted.needed])
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == content:
        return interpreter
    print(f"Making the environment {home}; this takes some minutes.", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, "-m", "venv", str(home)], check=True)
    install = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    install.append("--disable-pip-version-check")
    subprocess.run([*install, *wanted.needed], check=True)
    subprocess.run([*install, "--no-deps", *wanted.alone], check=True)
    stamp.write_text(content, encoding="utf-8")
    return interpreter

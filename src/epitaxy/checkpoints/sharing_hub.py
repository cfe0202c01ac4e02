"""Repositories of the Hugging Face hub, through its own client (extra ``hub``)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from epitaxy.checkpoints.sharing_files import LARGEST
from epitaxy.core.checksums import CHECKSUMS
from epitaxy.core.errors import InputError

HUB = "hub:"
REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
REVISION = re.compile(r"[\w./-]{1,128}", re.ASCII)


def split_name(text: str) -> tuple[str, str]:
    """Return repository and revision.

    >>> split_name("lab/gaps@v2"), split_name("lab/gaps")
    (('lab/gaps', 'v2'), ('lab/gaps', 'main'))

    Raises:
        InputError: it is no OWNER/NAME or OWNER/NAME@REVISION.
    """
    repository, at, revision = text.partition("@")
    if not REPOSITORY.fullmatch(repository) or (at and not REVISION.fullmatch(revision)):
        raise InputError(
            f"The repository {text!r} must be OWNER/NAME or OWNER/NAME@REVISION, for example "
            "hub:lab/gaps@v1."
        )
    return repository, revision or "main"


def hub_download(name: str, folder: Path, listed: Callable[[Path, str], Mapping[str, int]]) -> str:
    """Download ``checksums.json`` and the files it lists; return the commit they belong to.

    Args:
        name: OWNER/NAME, or OWNER/NAME@REVISION.
        folder: where the files are written.
        listed: folder with ``checksums.json`` and name of its origin -> further files and the bytes
            that each may have.

    Raises:
        InputError: the client is not installed, the repository cannot be read, has no
            ``checksums.json``, or a file is larger than that says.
    """
    repository, revision = split_name(name)
    hub = _client()
    api: Any = hub.HfApi()
    try:
        commit = str(api.model_info(repository, revision=revision).sha)
        # One commit for all files, so that a change in between cannot mix two models.
        _fetch(hub, (repository, commit), CHECKSUMS, LARGEST[".json"], folder)
        for path, largest in listed(folder, HUB + name).items():
            _fetch(hub, (repository, commit), path, largest, folder)
    except _errors(hub) as error:
        raise InputError(
            f"The repository {repository!r} (revision {revision}) cannot be pulled: "
            f"{_first_line(error)}."
        ) from error
    return commit


def _fetch(hub: Any, version: tuple[str, str], path: str, largest: int, folder: Path) -> None:
    """Download a file of a repository at a commit, unless it is too large."""
    repository, commit = version
    address = hub.hf_hub_url(repository, path, revision=commit)
    size = hub.get_hf_file_metadata(address).size
    if size is None or size > largest:
        raise InputError(
            f"{path!r} of the repository {repository!r} has {size} bytes where at most {largest:,} "
            "are allowed; nothing larger is downloaded."
        )
    copy = hub.hf_hub_download(repository, path, revision=commit)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(copy, folder / path)


def hub_upload(name: str, folder: Path) -> str:
    """Upload a folder as a model repository, which is made if there is none; return its address.

    Raises:
        InputError: the client is not installed, or the hub refuses.
    """
    repository, _ = split_name(name)
    hub = _client()
    api: Any = hub.HfApi()
    try:
        address = api.create_repo(repository, repo_type="model", exist_ok=True)
        # The marker of our own folders means nothing to others.
        api.upload_folder(
            repo_id=repository, folder_path=folder, ignore_patterns=[".*"], repo_type="model"
        )
    except _errors(hub) as error:
        raise InputError(
            f"The repository {repository!r} cannot be written: {_first_line(error)}; log in with: "
            "hf auth login."
        ) from error
    return str(address)


def _client() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise InputError(
            "Repositories of the Hugging Face hub need the package huggingface_hub; run: "
            "pip install 'epitaxy[hub]'."
        ) from error
    return huggingface_hub


def _errors(hub: Any) -> tuple[type[Exception], ...]:
    """Return what the client raises for absent repositories, refusals and broken connections."""
    return (hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError, OSError)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].rstrip(".")

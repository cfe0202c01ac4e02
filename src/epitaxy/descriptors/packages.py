"""Optional packages: a sentence where one is missing, and silence where it talks too much."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from importlib.metadata import version

from epitaxy.core.errors import InputError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings and what is printed to standard output."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def needs(package: str, extra: str) -> Iterator[None]:
    """Run a block that imports ``package``, quietly.

    Raises:
        InputError: the package, or one that it needs in turn, is not installed.
    """
    try:
        with quiet():
            yield
    except ImportError as error:
        raise InputError(
            f"This descriptor needs the package {package}, which cannot be imported; install it "
            f"with: pip install 'epitaxy[{extra}]'."
        ) from error


def versions(*packages: str) -> str:
    """Return names and versions of installed packages, as in ``"numpy 2.1.0, scipy 1.15.0"``.

    Raises:
        ImportError: one is not installed.
    """
    return ", ".join(f"{package} {version(package)}" for package in packages)

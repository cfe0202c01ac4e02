"""JSON from files of others."""

from __future__ import annotations

import json
from typing import Any

from epitaxy.core.errors import InputError


def parse_json(text: str, origin: str) -> Any:
    """Return what a JSON text holds.

    Raises:
        InputError: it is no valid JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{origin} is no valid JSON: {error}.") from error
    except RecursionError as error:
        raise InputError(f"{origin} is nested too deeply to be a table.") from error

"""Downloads that are checked, limited, and continue where they were interrupted."""

from __future__ import annotations

import http.client
import ipaddress
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import epitaxy.checkpoints.sharing_watch as watching
from epitaxy.checkpoints.sharing_watch import CHUNK, TooSlowError, Watch
from epitaxy.core.checksums import file_sha256
from epitaxy.core.errors import InputError
from epitaxy.core.files import readable_disk_errors
from epitaxy.core.progress import Progress

logger = logging.getLogger("epitaxy")
TRIES = 3
SHA256 = re.compile(r"[0-9a-f]{64}")
LENGTH = re.compile(r"[0-9]{1,18}")


def check_address(address: str) -> None:
    """Accept addresses that nobody on the way can change: https, or this machine.

    >>> check_address("https://example.org/model.zip")
    >>> check_address("http://example.org/model.zip")
    Traceback (most recent call last):
    ...
    epitaxy.core.errors.InputError: The address 'http://example.org/model.zip' must begin with \
https://, so that nobody can change the model on its way.

    Raises:
        InputError: the address has another scheme, or names a user.
    """
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError as error:
        raise InputError(f"The address {address!r} cannot be read: {error}.") from error
    if parts.username is not None or parts.password is not None:
        raise InputError("An address with a user name or password is not taken; leave them out.")
    if parts.scheme == "https" and host:
        return
    if not (parts.scheme == "http" and _is_loopback(host)):
        raise InputError(
            f"The address {address!r} must begin with https://, so that nobody can change the "
            "model on its way."
        )


def check_sha256(text: str) -> str:
    """Return a SHA-256 checksum in lower case.

    Raises:
        InputError: it does not consist of 64 hexadecimal digits.
    """
    lower = text.strip().lower()
    if not SHA256.fullmatch(lower):
        raise InputError(f"The checksum {text!r} must be SHA-256: 64 digits from 0 to f.")
    return lower


def download(address: str, target: Path, *, sha256: str, largest: int) -> None:
    """Download a file; what is already in ``target`` is continued, and all is checked at the end.

    Args:
        address: https, or http of this machine; redirections must be that, too, and lead from https
            to https only.
        target: file to write; what an interrupted download left is not downloaded again.
        sha256: checksum of the whole file, 64 lower-case hexadecimal digits.
        largest: bytes above which the download is refused.

    Raises:
        InputError: the address is not allowed, the server refuses or is interrupted again and
            again, the file is too large, or its checksum is another.
    """
    check_address(address)
    with readable_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in reversed(range(TRIES)):
            try:
                _continue(address, target, largest)
                break
            except TooSlowError:
                raise _too_slow(address, target) from None
            except (OSError, http.client.HTTPException) as error:
                _give_up_or_retry(address, target, error, left)
    found = file_sha256(target)
    if found != sha256:
        target.unlink()
        raise InputError(
            f"{address!r} has the checksum {found}, but {sha256} was expected; nothing of it was "
            "kept. Check the address, and ask its owner whether the file has changed."
        )


def _too_slow(address: str, target: Path) -> InputError:
    done = target.stat().st_size if target.exists() else 0
    return InputError(
        f"The download of {address!r} was given up after {done:,} bytes: the server sends less "
        f"than {watching.SLOWEST:,} bytes per second, or it took more than {watching.LONGEST:,} s; "
        "the same command continues it."
    )


def _give_up_or_retry(address: str, target: Path, error: Exception, left: int) -> None:
    """Say that a download is tried again.

    Raises:
        InputError: it makes no sense to try again, or all tries are used up.
    """
    if isinstance(error, urllib.error.HTTPError):
        raise InputError(
            f"{address!r} cannot be downloaded: the server answers {error.code} {error.reason}."
        ) from error
    if isinstance(error, OSError) and not _is_network(error):
        raise error
    reason = getattr(error, "reason", None) or error
    done = target.stat().st_size if target.exists() else 0
    if not left:
        raise InputError(
            f"The download of {address!r} was interrupted after {done:,} bytes ({reason}); the "
            "same command continues it."
        ) from error
    logger.info("Interrupted after %s bytes (%s); trying again.", f"{done:,}", reason)


def _is_network(error: OSError) -> bool:
    return isinstance(error, urllib.error.URLError | ConnectionError | TimeoutError)


def _continue(address: str, target: Path, largest: int) -> None:
    """Download the part of a file that ``target`` does not hold."""
    done = target.stat().st_size if target.exists() else 0
    headers = {"User-Agent": "epitaxy", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - checked before
    watch = Watch()
    opener = urllib.request.build_opener(_Redirections, *watch.handlers())
    try:
        with watch.until_answered():
            answer = opener.open(request, timeout=watching.SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and done:
            return  # Nothing is missing; the checksum will tell whether all is right.
        raise
    with answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        if goes_on and not _starts_at(answer, done):
            raise http.client.HTTPException("the server sends another part than was asked for")
        done = done if goes_on else 0
        announced = answer.headers.get("Content-Length", "")
        total = done + int(announced) if LENGTH.fullmatch(announced) else None
        _check_size(address, total or 0, largest)
        with target.open("ab" if goes_on else "wb") as file:
            chunks = watch.chunks(answer)
            _copy(chunks, file, address=address, done=done, total=total, largest=largest)


def _starts_at(answer: Any, done: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {done}-")


def _copy(
    chunks: Iterable[bytes],
    file: BinaryIO,
    *,
    address: str,
    done: int,
    total: int | None,
    largest: int,
) -> None:
    parts = -(-((total or 0) - done) // CHUNK)
    with Progress(max(parts, 1), Path(urlsplit(address).path).name) as bar:
        for chunk in chunks:
            done += len(chunk)
            _check_size(address, done, largest)
            file.write(chunk)
            bar.step(done // CHUNK - (done - len(chunk)) // CHUNK)
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _check_size(address: str, size: int, largest: int) -> None:
    if size > largest:
        raise InputError(
            f"{address!r} has more than {largest:,} bytes, which is too large for what it should "
            "be; nothing larger is downloaded."
        )


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows redirections only to addresses that may be asked for themselves."""

    def redirect_request(  # noqa: PLR0917 - as the base class has it
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        check_address(newurl)
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise InputError(
                f"{req.full_url!r} leads to {newurl!r}, which is not encrypted; it is not followed."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

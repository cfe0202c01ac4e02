"""Patience with servers: a limit on the whole of a transfer, not on its silences only."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SECONDS = 60
"""A server that says nothing for so long, or has not begun to answer by then, is given up."""
LONGEST = 6 * 3600
"""Seconds after which a download is given up, however much comes."""
SLOWEST = 1000
"""Bytes per second; below, on average since it began, a download is given up after `SECONDS`."""
CHUNK = 1 << 20
"""Bytes that are taken at a time, at most."""


class TooSlowError(Exception):
    """A download takes longer than anybody waits."""


class Watch:
    """Ends a transfer that takes too long, whatever the server sends meanwhile."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.sockets: list[socket.socket] = []
        self.stopped = False

    def handlers(self) -> tuple[urllib.request.BaseHandler, ...]:
        """Return what opens connections that are watched."""
        return _Http(self), _Https(self)

    @contextmanager
    def until_answered(self) -> Iterator[None]:
        """Close the connections if a block takes longer than `SECONDS`.

        A server may send a head of the answer that has no end, a byte at a time.

        Raises:
            TooSlowError: it did.
        """
        timer = threading.Timer(SECONDS, self._stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            if self.stopped:
                raise TooSlowError("the server does not begin to answer") from error
            raise
        finally:
            timer.cancel()

    def chunks(self, answer: Any) -> Iterator[bytes]:
        """Yield what has come, not full chunks: a slow server would take days for one.

        Raises:
            TooSlowError: it is too little for the time since the beginning, or that is long ago.
        """
        received = 0
        while chunk := answer.read1(CHUNK):
            yield chunk
            received += len(chunk)
            seconds = time.monotonic() - self.began
            if seconds > LONGEST or (seconds > SECONDS and received < SLOWEST * seconds):
                raise TooSlowError("the server sends too little")

    def _stop(self) -> None:
        self.stopped = True
        for connection in self.sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_watched(http.client.HTTPConnection, self.watch), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_watched(http.client.HTTPSConnection, self.watch), req)


def _watched(kind: type[http.client.HTTPConnection], watch: Watch) -> Any:
    """Return a kind of connection that tells the watch of its socket."""

    class Connection(kind):  # type: ignore[valid-type, misc]
        def connect(self) -> None:
            super().connect()
            watch.sockets.append(self.sock)

    return Connection

"""A web server on this machine that can be told to misbehave."""

import hashlib
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Site:
    """Files by path, and how the server treats those who ask for them."""

    def __init__(self):
        self.files = {}
        self.asked = []
        self.cut = []
        """Number of bytes after which each of the next answers breaks off."""
        self.ranges = True
        self.redirect = {}
        self.address = ""

    def add(self, path, content) -> str:
        """Put a file there and return its checksum."""
        self.files[path] = content
        return hashlib.sha256(content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def __init__(self, *arguments, site):
        self.site = site
        super().__init__(*arguments)

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        site, path = self.site, self.path
        wanted = self.headers.get("Range")
        site.asked.append((path, wanted))
        if path in site.redirect:
            self.send_response(302)
            self.send_header("Location", site.redirect[path])
            self.end_headers()
            return
        if path not in site.files:
            self.send_error(404)
            return
        content = site.files[path]
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if wanted and site.ranges:
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            content = content[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: site.cut.pop(0)] if site.cut else content)


@pytest.fixture
def site():
    """Return the files of a server that runs as long as the test."""
    made = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, site=made))
    made.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()

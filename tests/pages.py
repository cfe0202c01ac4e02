"""Pages as a reader finds them: a check of their text, and what a real browser makes of them."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EMPTY = {"meta", "br", "input", "img", "hr"}
PROBE = """
<pre id="probe"></pre>
<script>
addEventListener("load", () => {
  const found = { errors: window.failures, ...(PROBED)() };
  document.getElementById("probe").textContent = JSON.stringify(found);
});
</script>
"""
WATCH = (
    "<script>window.failures = []; onerror = (text) => { failures.push(String(text)); };</script>"
)
FIGURES = """
  figures: [...document.querySelectorAll("figure svg")].map((svg) => {
    const box = svg.getBoundingClientRect();
    const marks = [...svg.querySelectorAll("path, use, rect, image")];
    return {
      width: box.width, height: box.height,
      drawn: marks.filter((mark) => mark.getBoundingClientRect().width > 0).length,
      texts: [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim()).length,
      tools: svg.parentElement.querySelectorAll(".tools button").length,
    };
  }),
  broken: [...document.querySelectorAll("a[href^='#']")]
    .filter((a) => !document.getElementById(a.hash.slice(1))).map((a) => a.hash),
  overflow: document.documentElement.scrollWidth - innerWidth,
"""


class _Page(HTMLParser):
    """Collects identities and addresses, and complains about tags that do not fit."""

    def __init__(self):
        super().__init__()
        self.open, self.identities, self.addresses = [], [], []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        given = dict(attrs)
        self.identities += [given["id"]] if "id" in given else []
        for name in ("href", "src", "xlink:href", "action", "poster", "data"):
            self.addresses += [given[name]] if name in given else []
        for value in given.values():
            self.addresses += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()} closes another tag"


def check_page(path):
    """Check that a page is well-formed, needs nothing from elsewhere, and links to itself."""
    html = Path(path).read_text(encoding="utf-8")
    page = _Page()
    page.feed(html)
    page.close()
    assert not page.open
    twice = {i for i in page.identities if page.identities.count(i) > 1}
    assert not twice, twice
    outside = [a for a in page.addresses if not a.startswith(("#", "data:"))]
    assert not outside, outside
    lost = [a for a in page.addresses if a[:1] == "#" and a[1:] not in page.identities]
    assert not lost, lost
    assert not re.search(r"https?://|<link|@import|\bfetch\(|XMLHttpRequest", html)


def browser() -> str:
    """Return the program of a browser, or skip the test."""
    found = next((name for name in BROWSERS if shutil.which(name)), None)
    if found is None:
        pytest.skip(f"no browser is installed here (looked for {', '.join(BROWSERS)})")
    return found


def in_browser(path, tmp_path, *, script="() => ({})", width=1200, dark=False, picture=None):
    """Open a copy of a page in a headless browser and return what a function in it returns.

    Args:
        path: the page.
        tmp_path: folder for the copy and the browser's profile.
        script: JavaScript function without arguments; `FIGURES` holds parts for its object.
        width: of the window in pixels.
        dark: whether the user wants dark pages.
        picture: PNG to write instead; nothing is returned then.
    """
    html = Path(path).read_text(encoding="utf-8")
    copy = tmp_path / f"{Path(path).stem}-probe.html"
    probed = html.replace("<head>", f"<head>{WATCH}", 1)
    copy.write_text(probed.replace("</body>", PROBE.replace("PROBED", script) + "</body>"))
    command = [
        *(browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--no-first-run", "--disable-extensions", f"--user-data-dir={tmp_path / 'profile'}"),
        f"--window-size={width},1000",
        # Whatever the page asks from elsewhere fails.
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]
    if dark:
        command.append("--blink-settings=preferredColorScheme=0")
    last = (
        [f"--screenshot={picture}", Path(path).as_uri()]
        if picture
        else ["--dump-dom", copy.as_uri()]
    )
    done = subprocess.run(
        [*command, *last],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    if picture:
        return None
    text = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)[1]
    for entity, letter in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, letter)
    return json.loads(text)

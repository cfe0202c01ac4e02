"""What the documentation says must be true: links lead somewhere and commands parse."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?:bash|sh|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?epitaxy (.*)$", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """Collect page and arguments of every ``epitaxy`` line in a shell block."""
    found = []
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            joined = block.replace("\\\n", " ")
            found += [(page.name, line) for line in COMMAND.findall(joined)]
    return found


@pytest.fixture
def app():
    from epitaxy.cli.main import app

    return app


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_to_files(page):
    prose = FENCED.sub("", page.read_text(encoding="utf-8"))
    targets = [t for t in LINK.findall(prose) if not re.match(r"\w+:", t)]
    assert not [t for t in targets if not (page.parent / t).exists()]


@pytest.mark.parametrize(("page", "line"), commands())
def test_documented_commands_parse(app, page, line):
    words = shlex.split(re.split(r"\s[|>&]", line)[0], comments=True)
    command, path = typer.main.get_command(app), []
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{page}: no command {words[0]!r}"
        path.append(words.pop(0))
        command = command.commands[path[-1]]
    context = command.make_context("epitaxy", [], resilient_parsing=True)
    command.make_parser(context).parse_args(words)
    assert CliRunner().invoke(app, [*path, "--help"]).exit_code == 0


def test_there_are_documented_commands():
    assert {page for page, _ in commands()} >= {"README.md"}

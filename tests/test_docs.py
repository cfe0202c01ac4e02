"""What the documentation says must be true: links lead somewhere and commands parse."""

import re
import runpy
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


def check(command, words: list[str], path: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Parse ``words`` without running anything; return the names of the subcommands."""
    context = command.make_context("epitaxy", [], resilient_parsing=True)
    context.resilient_parsing = False
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    if hasattr(command, "commands") and rest:
        assert rest[0] in command.commands, f"there is no command {rest[0]!r}"
        return check(command.commands[rest[0]], rest[1:], (*path, rest[0]))
    assert not rest, f"arguments too many: {rest}"
    for parameter in command.params:
        given = values.get(parameter.name) is not None or values.get("help")
        assert given or not parameter.required, f"{parameter.name} is missing"
    return path


@pytest.mark.parametrize(("page", "line"), commands())
def test_documented_commands_parse(app, page, line):
    words = shlex.split(re.split(r"\s[|>&]", line)[0], comments=True)
    path = check(typer.main.get_command(app), words)
    assert CliRunner().invoke(app, [*path, "--help"]).exit_code == 0, page


@pytest.mark.parametrize(
    "line", ["nosuch", "--nosuch", "train DATA --nosuch 3", "data nosuch", "train DATA --target"]
)
def test_the_check_itself(app, line):
    with pytest.raises(Exception, match=r"[Nn]o such|no command|requires an argument"):
        check(typer.main.get_command(app), line.split())


def test_there_are_documented_commands():
    assert {page for page, _ in commands()} >= {"README.md"}


def test_the_page_of_settings_is_what_the_code_says():
    script = runpy.run_path(str(ROOT / "scripts" / "write_settings.py"))
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == script["page"]()

"""JSON and YAML of anybody: read, or refused in a line, and soon."""

import json
import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bombs import LAUGHS, MERGES
from epitaxy.core.parsing import (
    LARGEST_YAML,
    MOST_VALUES,
    parse_json,
    parse_yaml,
    read_bytes,
    read_json,
    read_yaml,
)

SECONDS = 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, f"at most {MOST_VALUES:,} are read"),
        (MERGES, f"at most {MOST_VALUES:,} are read"),
        ("a: &a [*a]", "contains itself"),
        ("a: &a {b: *a}", "contains itself"),
        ("a: &a {<<: *a}", "contains itself"),
        ("[" * 1_000_00, "nested more than 64 deep"),
        ("- " * 1_000_00, "nested more than 64 deep"),
        ("[" * 70 + "]" * 70, "nested more than 64 deep"),
        ("a: " + "9" * 10_000, "a number of 10,000 characters"),
        ("a: 0x" + "f" * 10_000, "a number of 10,002 characters"),
        ("a: " + "1:" * 5_000 + "1", "a number of 10,001 characters"),
        ("a: 1\na: 2", "the key 'a' stands twice, again in line 2"),
        ("a: 2001-99-99", "month"),
        ("a: !!int ''", "range"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("? [a]\n: 1", "unhashable"),
        ("a: [1", "expected"),
        ("a: \x07", "special characters"),
        ('a: "\\ud800"', "surrogates not allowed"),
    ],
)
def test_yaml_that_is_refused(text, words):
    began = time.monotonic()
    with pytest.raises(ValueError, match=words) as caught:
        parse_yaml(text)
    assert time.monotonic() - began < SECONDS
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 1_000_000, "nested more than 64 deep"),
        ('{"a":' * 1_000_000, "nested more than 64 deep"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ("9" * 10_000, "a whole number of 10,000 digits"),
        ('{"a": -' + "9" * 41 + "}", "a whole number of 42 digits"),
        ("", "Expecting value"),
        (b"\xff\xfe\x00", "decode"),
        ('["\\ud800"]', "surrogates not allowed"),
        ('["\ud800"]', "surrogates not allowed"),
    ],
)
def test_json_that_is_refused(text, words):
    with pytest.raises(ValueError, match=words) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)


def test_what_is_read(tmp_path):
    content = {"a": [1, 2.5, None, "x", True], "b": {"c": [[]] * 3}, "d": 10**39}
    assert parse_json(json.dumps(content)) == content
    assert parse_yaml(yaml.safe_dump(content)) == content
    assert parse_yaml("base: &b {x: 1}\nmore:\n  <<: *b\n  y: 1e-3", scientific=True) == {
        "base": {"x": 1},
        "more": {"x": 1, "y": 0.001},
    }
    assert parse_yaml("y: 1e-3") == {"y": "1e-3"}
    assert parse_yaml("") is None
    assert parse_json('["\\ud83d\\ude00", "\\\\ud800"]') == ["😀", "\\ud800"]
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf[1]")
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_json(tmp_path / "x.json") == [1]
    assert read_yaml(tmp_path / "x.yaml") == {"a": 1}


def test_sizes(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"#" * (LARGEST_YAML + 1))
    with pytest.raises(ValueError, match=r"more than 524,288 bytes"):
        read_yaml(tmp_path / "x.yaml")
    with pytest.raises(ValueError, match="more than 5 bytes"):
        read_bytes("/dev/zero", 5)
    assert read_bytes("/dev/null", 5) == b""


MARKS = [*"[]{}:,-?&*!|>'\"%@# \n\t0a", "&a", "*a", "<<: ", "!!int ", "!!binary ", "- ", "1e9"]
PIECES = st.lists(st.sampled_from(MARKS), max_size=60).map("".join)
QUICK = settings(
    max_examples=100, deadline=20_000, suppress_health_check=[HealthCheck.too_slow], database=None
)


def reason(parse, *arguments, **options):
    """Return why it is refused, or that it is not."""
    try:
        parse(*arguments, **options)
    except ValueError as error:
        return str(error)
    return "read"


@QUICK
@given(st.one_of(PIECES, st.text(max_size=200), st.binary(max_size=200)))
def test_any_json(text):
    assert reason(parse_json, text)


@QUICK
@given(st.one_of(PIECES, st.text(max_size=200)), st.booleans())
def test_any_yaml(text, scientific):
    found = reason(parse_yaml, text, scientific=scientific)
    assert found
    assert "\n" not in found

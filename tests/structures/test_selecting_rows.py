"""Rows of a table named by ids, row numbers or files."""

import json

import pytest

from epitaxy.core.errors import InputError
from epitaxy.structures.selecting import select, select_ids
from salts import IDS, in_memory


@pytest.fixture(scope="module")
def table():
    return in_memory()


def test_lists(table):
    assert select_ids([IDS[4], IDS[2]], table) == (IDS[4], IDS[2])
    assert select_ids([4, 2], table) == (IDS[4], IDS[2])
    assert list(select(table, [IDS[4], IDS[2]]).ids) == [IDS[4], IDS[2]]


def test_row_numbers_are_those_of_the_source(table):
    assert select_ids([4], table.select([9, 4, 7])) == (IDS[4],)


def test_files(table, tmp_path):
    text, plain, nested = (tmp_path / name for name in ("ids.txt", "ids.json", "splits.json"))
    text.write_text(f"{IDS[1]}\n\n {IDS[5]} \n")
    plain.write_text(json.dumps([1, 5]))
    nested.write_text(json.dumps({"test": [IDS[1], IDS[5]], "trials": {"1": {"10": [3]}}}))
    for spec in (text, str(plain), f"{nested}:test"):
        assert select_ids(spec, table) == (IDS[1], IDS[5])
    assert select_ids(f"{nested}:trials/1/10", table) == (IDS[3],)


@pytest.mark.parametrize(
    ("content", "spec", "words"),
    [
        (None, "FILE", "There is no file '.*' with ids; give a text file with one id per line"),
        ("{", "FILE", "cannot be read"),
        ('{"test": [], "trials": {}}', "FILE", "no list of ids at its top; .* keys are: test, tri"),
        ('{"test": {"a": 1}}', "FILE:test", "no list of ids at test; .* keys are: a"),
        ('{"test": []}', "FILE:tests", "has no 'tests': at 'tests' it has test"),
        ('["salt-99"]', "FILE", "not in the table, 'salt-99' first"),
        ("[]", "FILE", "names no row"),
    ],
)
def test_what_names_nothing(table, tmp_path, content, spec, words):
    file = tmp_path / "ids.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=words):
        select(table, spec.replace("FILE", str(file)))

"""Delimiters, headers and missing values of text tables."""

import csv
import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epitaxy.core.errors import InputError
from epitaxy.structures.columns import properties_of
from epitaxy.structures.delimited import read_delimited
from epitaxy.structures.numerals import MISSING_WORDS, to_number

FLOATS = st.floats(-1e6, 1e6, allow_nan=False).map(repr)
MISSING = st.sampled_from(["", "na", "NaN", "None"])


@settings(deadline=None)
@given(
    delimiter=st.sampled_from([",", "\t", ";"]),
    header=st.booleans(),
    rows=st.lists(st.tuples(FLOATS, st.one_of(FLOATS, FLOATS, MISSING)), min_size=3, max_size=30),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_any_delimiter_and_header_round_trips(delimiter, header, rows, newline):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline)
    if header:
        writer.writerow(["id", "gap", "density"])
    writer.writerows([f"mp-{i}", *row] for i, row in enumerate(rows))
    table = read_delimited(out.getvalue(), "x.csv")
    assert (table.delimiter, table.header) == (delimiter, header)
    assert table.columns == (("id", "gap", "density") if header else ("id", "target_1", "target_2"))
    assert table.column("id") == [f"mp-{i}" for i in range(len(rows))]
    found = properties_of({c: table.column(c) for c in table.columns[1:]}, delimiter=delimiter)
    assert not found.refused
    for position, column in enumerate(found.values.values()):
        expected = [r[position] for r in rows]
        for got, text in zip(column, expected, strict=True):
            missing = text.lower() in MISSING_WORDS
            assert math.isnan(got) if missing else got == float(text)


@settings(deadline=None)
@given(
    rows=st.lists(FLOATS, min_size=1, max_size=20),
    blanks=st.integers(1, 4),
    header=st.booleans(),
)
def test_blanks_of_any_width_separate(rows, blanks, header):
    lines = ["name   gap"] * header + [f"a{i}{' ' * blanks}{v}" for i, v in enumerate(rows)]
    table = read_delimited("\n".join(lines), "x.txt")
    assert (table.delimiter, table.header, len(table.rows)) == (" ", header, len(rows))


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("id,gap\n1,\n2,\n", True),
        ("a,na\nb,1.0\n", False),
        ("a,na\nb,na\n", False),
        ("a,1.0\n", False),
        ("id,gap\na,1.0\n", True),
        (",gap\n0,1.0\n", True),
        ("id,gap,formula\nx,1,NaCl\ny,2,LiF\n", True),
        ("id, gap\nx, 1\ny, 2\n", True),
    ],
)
def test_header_is_recognised(text, header):
    table = read_delimited(text, "x.csv")
    assert table.header is header
    assert table.delimiter == ","


def test_known_first_id_is_data():
    assert read_delimited("a,word\nb,1\nc,2\n", "x.csv").header
    assert not read_delimited("a,word\nb,1\nc,2\n", "x.csv", {"a"}).header


def test_decimal_commas_are_numbers():
    table = read_delimited("id;gap\na;1,5\nb;-2,25\n", "x.csv")
    assert [to_number(c) for c in table.column("gap")] == [1.5, -2.25]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds 0 rows"),
        ("id,gap\n", "a header and 0 rows"),
        ("only\none\ncolumn\n", "one column only"),
        ("id,gap,gap\na,1,2\n", "'gap' stands twice"),
        ("id,gap\na,1\nb,2\nc,3,4\n", "Row 3 of x.csv has 3 cells where the header has 2"),
    ],
)
def test_bad_tables_are_refused(text, match):
    with pytest.raises(InputError, match=match):
        read_delimited(text, "x.csv")


def test_missing_unreadable_and_infinite_values_are_counted_apart():
    raw = {"gap": ["1", "inf", "na", "wrong", 2], "kind": ["cubic", "", "x", "y", "z"],
           "none": [None, "", "na", "-", "inf"]}  # fmt: skip
    found = properties_of(raw, delimiter=",")
    assert [v for v in found.values["gap"] if math.isfinite(v)] == [1.0, 2.0]
    assert set(found.values) == {"gap", "none"}
    assert "holds text such as 'cubic'" in found.refused["kind"]
    assert found.notes[0] == (
        "Column 'gap': 1 of 5 values missing ('na'); 1 of 5 cells are no number ('wrong'); 1 of 5 "
        "are infinite."
    )


def test_lists_are_no_numbers():
    assert to_number([1.0]) is None
    assert math.isnan(to_number(float("inf")))

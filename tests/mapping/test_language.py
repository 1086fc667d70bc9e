"""Paths, guards, ids, code maps: the small pieces of the mapping language."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.errors import MappingError
from converter.mapping import ids
from converter.mapping.codes import load_codes, load_losses
from converter.mapping.guards import compile_guard
from converter.mapping.ids import LENGTHS, NAMESPACE, Minter, netstrings, netstrings_source, short
from converter.mapping.paths import Node, Slice, parse, walk
from converter.mapping.running import Rows, entries, origin_value, origin_values
from converter.mapping.source import LetterSource

SLICES = {
    "extension[date]": Slice("extension[date]", "url", ("u:date",)),
    "payload[string]": Slice("payload[string]", has="contentString"),
    "name[official]": Slice("name[official]", "use", ("official",), otherwise_first=True),
    "identifier[gln]": Slice("identifier[gln]", "system", ("https://www.gs1.org/gln", "urn:oid:1.3.88")),
}
BUNDLE = {
    "payload": [
        {"contentAttachment": {"title": "x"}},
        {"contentString": "a", "extension": [{"url": "u:other"}, {"url": "u:date", "valueDateTime": "d"}]},
    ],
    "name": [{"family": "F", "given": ["G", "H"]}],
    "identifier": [{"system": "urn:oid:1.3.88", "value": "1"}, {"system": "s", "value": "2"}],
    "subject": {"reference": "Patient/1"},
}


def found(path: str) -> list[tuple[str, object]]:
    follow = {"Patient/1": Node("/entry/9/resource", {"active": True})}
    return [(n.pointer, n.value) for n in walk(Node("", BUNDLE), parse(path, SLICES), follow)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("payload[string].extension[date].valueDateTime", [("/payload/1/extension/1/valueDateTime", "d")]),
        ("payload[0].contentAttachment.title", [("/payload/0/contentAttachment/title", "x")]),
        ("payload[5].contentString", []),
        ("name[official].given[*]", [("/name/0/given/0", "G"), ("/name/0/given/1", "H")]),
        ("identifier[gln].value", [("/identifier/0/value", "1")]),
        ("identifier[not gln].value", [("/identifier/1/value", "2")]),
        ("subject.resolve().active", [("/entry/9/resource/active", True)]),
        ("nothing.at.all", []),
    ],
)
def test_paths(path: str, expected: list[tuple[str, object]]) -> None:
    assert found(path) == expected


@pytest.mark.parametrize("path", ["a..b", "a[nosuch]", "1a", "a b"])
def test_a_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"step|slice"):
        parse(path, SLICES)


@pytest.mark.parametrize(
    ("guard", "values", "expected"),
    [
        ("A.B == x", {"A.B": "x"}, True),
        ("A.B == x", {}, False),
        ("A.B != x", {}, False),
        ("A.B != x", {"A.B": "y"}, True),
        ("not (A.B == x)", {}, True),
        ("A.B in (x, y) and C present", {"A.B": "y", "C": ""}, True),
        ("A.B in (x, y) and C present", {"A.B": "y"}, False),
        ("A absent or (B == x and C == y)", {"A": "1", "B": "x", "C": "y"}, True),
        ('A == "0000 0000"', {"A": "0000 0000"}, True),
        ("p[s].q[t u].r == x", {"p[s].q[t u].r": "x"}, True),
    ],
)
def test_guards(guard: str, values: dict[str, str], expected: bool) -> None:
    expression = compile_guard(guard, lambda path: f"V.get({path!r})")
    assert eval(expression, {"V": values, "__builtins__": {}}) is expected  # noqa: S307


@pytest.mark.parametrize("guard", ["A", "A ==", "A = x", "(A == x", "A == x y", "__import__('os') == x", "A in x"])
def test_a_guard_that_cannot_be_read_is_refused(guard: str) -> None:
    with pytest.raises(ValueError, match=r"guard|expected|parenthesis"):
        compile_guard(guard, lambda path: f"V.get({path!r})")


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5), st.text(max_size=9), st.text(max_size=9))
def test_ids_are_version_5_uuids_of_their_parts(key: list[str], kind: str, role: str) -> None:
    made = Minter(netstrings(key)).v5(kind, role)
    name = (netstrings(key) + netstrings((kind, role))).decode()
    assert made == str(uuid.uuid5(NAMESPACE, name))
    known = {name: getattr(ids, name) for name in ("hexlify", "UUIDS", "URNS", "SIGNS")}
    known["copy"] = ids.keyed(netstrings(key)).copy
    printed, urn = (
        eval(ids.minted_source(repr(netstrings((kind, role))), forms), {**known})  # noqa: S307
        for forms in ("UUIDS", "URNS")
    )
    assert printed == made
    assert urn == f"urn:uuid:{made[:14]}4{made[15:]}"
    assert uuid.UUID(urn).version == 4


def test_parts_of_an_id_do_not_run_together() -> None:
    assert Minter(netstrings(["1", "23"])).v5("a") != Minter(netstrings(["12", "3"])).v5("a")


@given(st.sampled_from(["letter", "envelope"]), st.uuids().map(str))
def test_short_ids_fit_a_letter(kind: str, header: str) -> None:
    made = short(kind, header)
    assert len(made) == 14
    assert made.isalnum()
    assert made == made.upper()
    assert short("letter", header) != short("envelope", header)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=7))
def test_origin_comes_back_whatever_stands_in_it(values: list[str]) -> None:
    assert origin_values(origin_value(tuple(values))) == values


def test_code_maps_that_cannot_be_read_are_named_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "codes: bad\ncolumns: {a: letter, b: fhir}\nrows:\n"
        "  - {a: x, b: y}\n  - {a: z, b: y}\n  - {a: q}\n  - {a: x, b: w, c: v}\n"
    )
    with pytest.raises(MappingError) as caught:
        load_codes(tmp_path, {})
    assert [(i.code, i.at.line) for i in caught.value.issues] == [
        ("LNT060", 6),
        ("LNT060", 7),
        ("LNT061", 7),
        ("LNT061", 5),
    ]


def test_a_loss_of_ours_needs_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "losses.yaml"
    path.write_text("losses:\n  A-1: {severity: warn, what: x, says: ours}\n  A-2: {severity: bad, what: x, says: y}\n")
    with pytest.raises(MappingError) as caught:
        load_losses(path, "losses.yaml")
    assert [(i.code, i.at.line) for i in caught.value.issues] == [("LNT062", 2), ("LNT062", 3)]


@pytest.mark.parametrize("part", ["", "nytbrev", "Æble", "x" * 99, "x" * 100, "1,2:3{4}"])
def test_netstrings_that_generated_code_writes_are_those_of_parts(part: str) -> None:
    source = netstrings_source(["'DIS91'", "part", "(None or '')"])
    assert eval(source, {"N": LENGTHS, "part": part}) == netstrings(["DIS91", part, ""])  # noqa: S307


def test_entries_whose_place_is_counted() -> None:
    pointer = "/entry/{}/resource/identifier/{}/value"
    table = entries("Sender.Identifier", "mapped", "sender.sor", pointer, "", (2, 3), (0, 1))
    for entry, number in ((2, 0), (3, 1)):
        place = f"/entry/{entry}/resource/identifier/{number}/value"
        assert table[entry][number] == ("Sender.Identifier", "mapped", "sender.sor", place, "")
    with pytest.raises(TypeError):
        table[1][0]  # no letter has the resource there
    with pytest.raises(IndexError):
        table[3][2]


def test_a_value_that_is_asked_for_twice_is_got_once() -> None:
    out = LetterSource()
    out.put("start")
    for path in ("A.B", "A.B", "C.D"):
        out.put(f"use({out.get(path)})")
    assert out.written() == ["    start", "    v_A__B = g('A.B')", *["    use(v_A__B)"] * 2, "    use(g('C.D'))"]


def test_the_numbers_of_a_group_that_is_looped_over_twice_are_made_once() -> None:
    out = LetterSource()
    out.put("start")
    for group in ("A", "A", "B"):
        with out.repeated(group):
            out.put("use(i)")
    numbers = ["all_A", "all_A", "range(1, count('B', 0) + 1)"]
    loops = [line for made in numbers for line in (f"    for i in {made}:", "        use(i)")]
    assert out.written() == ["    start", "    all_A = range(1, count('A', 0) + 1)", *loops]


def test_rows_are_counted_anew_after_too_many_were_remembered() -> None:
    """A letter of a thousand repetitions fills no memory, and its leaves have their own numbers all the same."""
    rows = Rows(("i", "n"), "Text[{i}].Line", "/entry/{n}/text")
    for i in range(1, 1000):
        assert rows[i, i + 1] == (f"Text[{i}].Line", f"/entry/{i + 1}/text")
        assert len(rows) <= 128
    assert rows[1, 2] == ("Text[1].Line", "/entry/2/text")

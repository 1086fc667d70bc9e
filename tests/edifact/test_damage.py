"""What becomes of damaged letters: nothing raises, every loss is reported, and what can be read is read."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter import edifact
from converter.issues import IssueLog, Severity
from tests.edifact.made_letter import DEFINITIONS, SEGMENTS, SLOW, codes, joined, read, replaced


def inner() -> range:
    """The numbers of the segments between UNB, UNH and UNT."""
    return range(2, len(SEGMENTS) - 2)


@pytest.mark.parametrize("number", range(len(SEGMENTS)))
@pytest.mark.parametrize("how", ["drop", "double", "swap"])
def test_damaged_letters_are_reported_and_raise_nothing(number: int, how: str) -> None:
    body = list(SEGMENTS)
    if how == "drop":
        del body[number]
    elif how == "double":
        body.insert(number, body[number])
    elif number + 1 < len(body):
        body[number], body[number + 1] = body[number + 1], body[number]
    log = IssueLog()
    whole, _ = read(joined(SEGMENTS))
    found = list(edifact.read(joined(body, counted=False), DEFINITIONS, log))
    changed = len(found) != 1 or found[0].values != whole.values
    if how != "swap":
        assert [i for i in log if i.severity is Severity.ERROR], "the count of UNT alone shows it"
    elif changed:  # texts that change places, also with the trigger between them, are another valid letter
        assert codes(log) or {SEGMENTS[number][:3], SEGMENTS[number + 1][:3]} <= {"FTX", "S14"}


@pytest.mark.parametrize("number", inner())
def test_a_lost_segment_is_seen_without_the_count(number: int) -> None:
    """Only what may be absent by the layout can vanish unseen when the count was made to fit."""
    optional = ("ADR", "CON", "RFF+NO", "RFF+REI", "EMP", "FTX", "S14")
    _, log = read(joined([s for n, s in enumerate(SEGMENTS) if n != number]))
    assert codes(log) or SEGMENTS[number].startswith(optional)


@pytest.mark.parametrize("number", inner())
def test_a_doubled_segment_is_seen_without_the_count(number: int) -> None:
    repeating = ("FTX+NC", "FTX+BIN", "FTX+URL", "FTX+SUP")
    whole, _ = read(joined(SEGMENTS))
    letter, log = read(joined([*SEGMENTS[: number + 1], *SEGMENTS[number:]]))
    assert codes(log) or SEGMENTS[number].startswith((*repeating, "S14"))
    if not SEGMENTS[number].startswith((*repeating, "S14")):
        assert letter.values == whole.values


@pytest.mark.parametrize("trigger", ["S01", "S02", "S07", "S11"])
def test_a_lost_trigger_costs_one_issue_and_no_value(trigger: str) -> None:
    whole, _ = read(joined(SEGMENTS))
    for number in [n for n, s in enumerate(SEGMENTS) if s.startswith(trigger)]:
        letter, log = read(joined([s for n, s in enumerate(SEGMENTS) if n != number]))
        assert codes(log) == ["EDI126"]
        assert letter.values == whole.values
        assert letter.extras == []


def test_groups_in_another_order_are_read_and_reported() -> None:
    start = next(n for n, s in enumerate(SEGMENTS) if s.startswith("S07"))
    end = next(n for n, s in enumerate(SEGMENTS) if s.startswith("S11"))
    moved = [*SEGMENTS[:start], *SEGMENTS[end:-2], *SEGMENTS[start:end], *SEGMENTS[-2:]]
    whole, _ = read(joined(SEGMENTS))
    letter, log = read(joined(moved))
    assert codes(log) == ["EDI123"]
    assert letter.values == whole.values


def test_unknown_and_repeated_groups_are_kept_aside() -> None:
    whole, _ = read(joined(SEGMENTS))
    for group, code in (("S05+05'GIS+N'RFF+ROI:x'", "EDI124"), ("S02+02'GIS+M'RFF+SRI:y'", "EDI125")):
        letter, log = read(replaced("S07+07'", f"{group}S07+07'"))
        assert codes(log) == [code]
        assert letter.values == whole.values
        assert len(letter.extras) == 3
    letter, log = read(joined([s for s in SEGMENTS if s[:3] not in ("S07", "PNA", "EMP")]))
    assert "EDI122" in codes(log)


def test_letter_without_interchange_header_is_read() -> None:
    letter, log = read(joined(SEGMENTS[1:]))
    assert codes(log) == ["EDI030"]
    assert "Sender.EANIdentifier" not in letter.values
    assert letter.values["Sender.Identifier"] == "1234567"
    assert letter.locate("Sender.Identifier")[0].segment == "NAD"


@SLOW
@given(data=st.data())
def test_any_shuffled_letter_loses_nothing(data: st.DataObject) -> None:
    """Every value of the input is a leaf, an extra, or a constant that was compared."""
    body = [*SEGMENTS]
    middle = data.draw(st.permutations(body[2:-2]))
    letter, log = read(joined([*body[:2], *middle, *body[-2:]]))
    if letter.refused:
        assert codes(log)
        return
    held = repr((letter.values, letter.extras))
    for value in (
        "Sygehus Syd",
        "Lægehuset",
        "0201609995",
        "Sønderup",
        "Smed",
        "Vej 1",
        "Gaden 2",
        "Om næste",
        "Papir",
    ):
        assert value in held, value
    assert "En anden tekst" in held


@SLOW
@given(data=st.data())
def test_any_changed_byte_raises_nothing(data: st.DataObject) -> None:
    content = bytearray(joined(SEGMENTS))
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.integers(0, len(content) - 1))
        content[where : where + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    log = IssueLog()
    try:
        for letter in edifact.read(bytes(content), DEFINITIONS, log):
            if not letter.refused:
                definition = DEFINITIONS.get(letter.type, letter.version)
                assert definition is not None
                definition.check(letter, log)
                edifact.write([letter], DEFINITIONS, log)
    except Exception:  # noqa: BLE001
        pytest.fail(traceback.format_exc())

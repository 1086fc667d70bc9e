"""Input that is meant to hurt: every row ends in findings, soon, with little memory, and never in a traceback.

The rows are named after the threat they stand for. At the end: every truncation, and a seeded sweep of mutants that the
reference reader judges independently.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from converter.edifact.controls import Controls
from converter.edifact.envelope import read_messages
from converter.edifact.findings import MAX_LISTED
from converter.edifact.segments import Segment
from converter.issues import Issue, IssueLog, Severity
from converter.limits import Limits
from tests.edifact import reference
from tests.edifact.interchanges import (
    ALL,
    BINARY,
    HEADER,
    OBJECT,
    PAYLOAD,
    PLAIN,
    TWO_LETTERS,
    errors,
    interchanges_of,
    places,
    segments_of,
)

MB = 1 << 20
HEAD, TAIL = PLAIN[: PLAIN.index(b"S07+07'")], PLAIN[PLAIN.index(b"S07+07'") :]


def read(data: bytes, limits: Limits | None = None) -> tuple[int, list[Issue]]:
    """How many messages there are, one held at a time, and the issues."""
    log = IssueLog()
    return sum(1 for _ in read_messages(data, log, limits=limits)), log.issues


# -- E1: next to nothing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"   \r\n", b"U", b"\0", PLAIN[:9], PLAIN[9 : 9 + len(HEADER)]])
def test_e1_next_to_nothing(data: bytes) -> None:
    _, issues = interchanges_of(data)
    assert errors(issues) & {"EDI001", "EDI031"}
    assert {13} <= {i.kind.contrl for i in issues}


# -- E2 to E4: sizes ---------------------------------------------------------------------------------------------------

SIZES: dict[str, tuple[Callable[[int], bytes], str, float]] = {
    # name: input (a share of it), code, seconds of processor time
    "E2 no terminator": (lambda share: b"UNA:+.? 'UNB+UNOC:3+" + b"a" * (100 * MB), "EDI009", 1),
    "E2 no terminator in a message": (lambda share: HEAD + b"FTX+" + b"a" * (100 * MB), "EDI009", 1),
    "E2 junk": (lambda share: b"x" * (100 * MB), "EDI005", 1),
    "E2 half a tag": (lambda share: b"UN" * (20 * MB), "EDI005", 2),
    "E2 advices": (lambda share: b"UNA" * (10 * MB), "EDI003", 2),
    "E3 one long segment": (lambda share: HEAD + b"FTX+" + b"a" * (100 * MB) + b"'" + TAIL, "EDI009", 1),
    "E3 a million elements": (lambda share: HEAD + b"FTX" + b"+" * 10**6 + b"'" + TAIL, "EDI013", 1),
    "E3 a million components": (lambda share: HEAD + b"FTX+" + b":" * 10**6 + b"'" + TAIL, "EDI013", 1),
    "E3 ten million separators": (lambda share: HEAD + b"FTX" + b"+" * 10**7 + b"'" + TAIL, "EDI009", 1),
    "E3 separators in many segments": (lambda share: HEAD + (b"FTX" + b"+" * 900 + b"'") * 11_000 + TAIL, "EDI046", 5),
    "E4 a million segments": (lambda share: HEAD + b"RFF+A:1'" * (10**6 // share) + TAIL, "EDI046", 5),
    "E4 a million tags that are none": (lambda share: HEAD + b"x+a'" * (10**6 // share) + TAIL, "EDI046", 10),
    "E4 nothing but terminators": (lambda share: HEAD + b"'" * (10**6 // share) + TAIL, "EDI046", 10),
    "E4 nothing but line ends": (lambda share: HEAD + b"\r\n" * 10**7 + TAIL, "", 2),
    "E4 nothing but blanks": (lambda share: HEAD + b" " * (20 * MB) + TAIL, "EDI012", 2),
    "E4 segments without a message": (
        lambda share: HEAD[: HEAD.index(b"UNH")] + b"RFF+A:1'" * (10**6 // share),
        "EDI032",
        5,
    ),
    "E5 groups": (lambda share: HEAD[: HEAD.index(b"UNH")] + b"UNG+A'" * 100_000, "EDI040", 5),
    "E9 release characters": (lambda share: HEAD + b"FTX+" + b"?" * (20 * MB) + b"'" + TAIL, "EDI009", 2),
    "E9 released terminators": (lambda share: HEAD + b"FTX+" + b"?'" * (20 * MB) + b"'" + TAIL, "EDI009", 4),
    "E9 released line ends": (lambda share: HEAD + b"FTX+" + b"?\n" * (10 * MB) + b"'" + TAIL, "EDI009", 4),
    "E15 objects without length": (lambda share: HEAD + b"UNO+1+a+b+x'" * (100_000 // share) + TAIL, "EDI014", 10),
    "E15 objects of wrong length": (
        lambda share: HEAD + b"UNO+1+a+b+5:1'UNP+9+1'" * (50_000 // share) + TAIL,
        "EDI015",
        10,
    ),
    "E15 objects without end": (lambda share: HEAD + b"UNO+1+a+b+5:1'" * (100_000 // share) + TAIL, "EDI015", 10),
}


MANY = [
    *("E4 a million segments", "E4 a million tags that are none", "E4 nothing but terminators"),
    *("E4 segments without a message", "E15 objects without length", "E15 objects of wrong length"),
    "E15 objects without end",
]
"""Many small pieces: every run reads a fifth of them, by limits and in a time of a fifth; the long tests all."""


@pytest.mark.parametrize(
    ("name", "share"),
    [(name, 5 if name in MANY else 1) for name in SIZES]
    + [pytest.param(name, 1, marks=pytest.mark.long) for name in MANY],
)
def test_sizes_take_little_time(name: str, share: int) -> None:
    make, code, seconds = SIZES[name]
    data = make(share)
    limits = Limits(constituents=Limits().constituents // share)
    begin = time.process_time()
    _, issues = read(data, limits)
    # Twice the time that was set, because the machine may be at half speed.
    assert time.process_time() - begin < 2 * seconds / share
    assert code in {i.code for i in issues} or not code
    assert len(issues) < 6 * MAX_LISTED


@pytest.mark.parametrize("name", [n if n[:2] == "E2" else pytest.param(n, marks=pytest.mark.long) for n in SIZES])
def test_sizes_take_little_memory(name: str) -> None:
    make, _, _ = SIZES[name]
    data = make(1)
    tracemalloc.start()
    try:
        read(data)
        assert tracemalloc.get_traced_memory()[1] < 200 * MB
    finally:
        tracemalloc.stop()


def test_e2_nothing_behind_the_ceiling_is_kept() -> None:
    _, issues = interchanges_of(HEAD + b"FTX+NC+" + b"a" * 10_000 + b"'" + TAIL, limits=Limits(segment=5000))
    (issue,) = [i for i in issues if i.code == "EDI009"]
    assert (issue.at.ordinal, issue.kind.contrl) == (8, 16)
    assert "5000" in issue.message


def test_e3_and_e4_the_other_messages_are_not_affected() -> None:
    for bad in (b"FTX" + b"+" * 2000 + b"'", b"FTX+" + b"a" * (2 * MB) + b"'"):
        data = TWO_LETTERS.replace(b"SEQ++1'", bad, 1)
        (interchange,), _ = interchanges_of(data)
        assert [m.broken for m in interchange.messages] == [True, False]
    data = TWO_LETTERS.replace(b"SEQ++1'", b"RFF+A:1'" * 10_000, 1)
    (interchange,), _ = interchanges_of(data, limits=Limits(constituents=5_000))
    assert [m.broken for m in interchange.messages] == [True, False]


# -- E5 to E8: groups, characters, separators --------------------------------------------------------------------------


def test_e5_groups_nested_a_thousand_times() -> None:
    ung = b"UNG+MEDDIS+a+b+260301:1020+G1+UN+D:93A'"
    data = PLAIN.replace(b"UNH", ung * 1000 + b"UNH")
    (interchange,), issues = interchanges_of(data)
    assert {i.kind.contrl for i in issues if i.code == "EDI040"} == {47}
    assert [m.broken for m in interchange.messages] == [True]
    assert "EDI035" in errors(issues)


@pytest.mark.parametrize("code", [*range(0x0A), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)])
def test_e6_control_characters(code: int) -> None:
    data = PLAIN.replace(b"Elmer", b"El" + bytes([code]) + b"mer")
    segments, issues = segments_of(data)
    (issue,) = issues
    assert (issue.severity, issue.kind.contrl) == (Severity.ERROR, 21)
    assert (issue.at.segment, issue.at.ordinal, issue.at.element, issue.at.component) == ("PNA", 9, 5, 2)
    assert issue.at.offset == data.index(bytes([code]), 9)
    assert segments[8].get(5, 2) == "El" + chr(code) + "mer"


@pytest.mark.parametrize(
    ("label", "contrl"), [(b"UNOA", 21), (b"UNOX", 46), (b"UNO", 46), (b"", 13), (b"UNOC?", 46), (b"\xff\xff", 46)]
)
def test_e7_labels(label: bytes, contrl: int) -> None:
    _, issues = interchanges_of(PLAIN.replace(b"UNOC", label))
    assert contrl in {i.kind.contrl for i in issues if i.severity is Severity.ERROR}


def test_e8_every_single_separator() -> None:
    for at in range(3, 9):
        for code in range(256):
            data = PLAIN[:at] + bytes([code]) + PLAIN[at + 1 :]
            if data == PLAIN:
                continue
            _, issues = interchanges_of(data)
            wrong = chr(code).isalnum() or code < 0x20 or code > 0x7E
            if wrong and at != 7:
                assert 20 in {i.kind.contrl for i in issues if i.severity is Severity.ERROR}, (at, code)
            if (at, code) != (5, ord(",")):
                assert {i.severity for i in issues} & {Severity.ERROR, Severity.WARNING} or (at, code) == (7, ord("*"))


# -- E9 to E14 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["?'UNA", "?+", "??", "?\n?", "?\n'x", "a??", "???'", "?:?+?'??"])
def test_e9_exact_text(text: str) -> None:
    data = PLAIN.replace(b"Elmer", text.encode())
    segments, _ = segments_of(data)
    unlined = text.replace("\n", "")
    wanted, at = "", 0
    while at < len(unlined):
        at += unlined[at] == "?"
        wanted += unlined[at]
        at += 1
    assert segments[8].get(5, 2) == wanted
    assert len(segments) == 12


def truncations(data: bytes) -> Iterator[bytes]:
    yield from (data[:length] for length in range(len(data)))


@pytest.mark.parametrize("name", ALL)
def test_e10_every_truncation(name: str) -> None:
    data = ALL[name]
    whole = len(data.rstrip(b"\r\n"))
    for cut in truncations(data):
        _, issues = interchanges_of(cut)
        bare = cut.rstrip(b"\r\n")
        complete = len(cut) >= whole or (name == "two interchanges" and bare == PLAIN)
        found = errors(issues)
        assert bool(found) != complete, len(cut)
        if found:
            assert {13, 28, 29, 20, 33} & {i.kind.contrl for i in issues if i.severity is Severity.ERROR}
            assert all(0 <= i.at.offset <= len(cut) for i in issues)


@pytest.mark.parametrize("tag", ["UNT", "UNZ"])
@pytest.mark.parametrize("element", [0, 1])
@pytest.mark.parametrize("value", [None, "", "x", "2", "1234567890123456789", "-1", "1e1", " 1", "٣"])
def test_e11_trailers(tag: str, element: int, value: str | None) -> None:
    data = PLAIN.decode("latin-1")
    begin = data.index(tag + "+")
    end = data.index("'", begin)
    parts = data[begin:end].split("+")
    parts[element + 1] = value or ""
    changed = data[:begin] + "+".join(parts if value is not None else parts[: element + 1]) + data[end:]
    raw = changed.encode("utf-8") if value == "٣" else changed.encode("latin-1")
    _, issues = interchanges_of(raw)
    found = [i for i in issues if i.severity is Severity.ERROR and i.at.segment == tag]
    assert {i.kind.contrl for i in found} & {28, 29, 12, 13}


def test_e12_duplicates_are_both_kept() -> None:
    (interchange,), issues = interchanges_of(TWO_LETTERS.replace(b"BREV00002", b"BREV00001"))
    assert [m.reference for m in interchange.messages] == ["BREV00001", "BREV00001"]
    assert 26 in {i.kind.contrl for i in issues}


def test_e13_two_results_and_junk_with_its_offset() -> None:
    interchanges, issues = interchanges_of(PLAIN + b"junk" + PLAIN)
    assert len(interchanges) == 2
    (junk,) = [i for i in issues if i.code == "EDI005"]
    assert junk.at.offset == len(PLAIN)


def test_e14_a_reference_with_a_line_end_in_it() -> None:
    data = PLAIN.replace(b"KUVERT00001++++", b"KUVERT\n00001++++")
    (interchange,), issues = interchanges_of(data)
    assert interchange.reference == "KUVERT00001"
    assert [(i.code, i.severity) for i in issues] == [("EDI007", Severity.INFO)]


# -- E15: objects ------------------------------------------------------------------------------------------------------


def with_length(length: str, unp: str | None = None) -> bytes:
    size = str(len(PAYLOAD))
    data = BINARY.replace(f":91+{size}:".encode(), f":91+{length}:".encode())
    return data.replace(f"UNP+{size}+".encode(), f"UNP+{unp or length}+".encode())


@pytest.mark.parametrize(
    ("length", "code", "contrl"),
    [
        ("", "EDI014", 12),
        ("x", "EDI014", 12),
        ("-5", "EDI014", 12),
        ("1.5", "EDI014", 12),
        ("1" * 13, "EDI014", 12),
        ("9" * 5000, "EDI014", 12),
        ("9999999999", "EDI016", 39),
        (str(len(PAYLOAD) + 1), "EDI015", 29),
        (str(len(PAYLOAD) - 1), "EDI015", 29),
        ("0", "EDI015", 29),
        ("104857600", "EDI015", 29),
    ],
)
def test_e15_wrong_lengths(length: str, code: str, contrl: int) -> None:
    tracemalloc.start()
    (interchange,), issues = interchanges_of(with_length(length, str(len(PAYLOAD))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * MB
    (issue,) = [i for i in issues if i.code == code]
    assert (issue.at.segment, issue.at.element, issue.kind.contrl) == ("UNO", 4, contrl)
    assert [m.broken for m in interchange.messages] == [True]
    # UNP counts its bytes right, so that the rest of the message is found all the same.
    assert errors(issues) == {code}


def test_e15_a_wrong_length_does_not_reach_the_next_message() -> None:
    other = b"UNH+BREV00002+MEDDIS:D:93A:UN:D9134L+DIS91'UNT+2+BREV00002'"
    for length, unp in (("5", "7"), ("x", "y"), ("99999", "3")):
        data = with_length(length, unp).replace(b"'UNT+5+BREV00001'", b"'UNT+5+BREV00001'" + other)
        data = data.replace(b"UNZ+1+KUVERT00001'" + b"UNA", b"UNZ-1-KUVERT00001'UNA")
        interchanges, _ = interchanges_of(data)
        found = [(m.reference, m.broken) for i in interchanges for m in i.messages]
        assert ("BREV00001", True) in found
        assert ("BREV00002", False) in found


def test_e15_two_objects_and_an_empty_one() -> None:
    size = f"+{len(PAYLOAD)}:14".encode()
    empty = OBJECT.replace(size, b"+0:14").replace(PAYLOAD, b"").replace(b"UNP+%d" % len(PAYLOAD), b"UNP+0")
    (interchange,), issues = interchanges_of(BINARY.replace(OBJECT, OBJECT + empty + OBJECT))
    assert [s.binary for s in interchange.messages[0].segments if s.binary is not None] == [PAYLOAD, b"", PAYLOAD]
    assert places(issues) == ["EDI035 UNT 10"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("UNP+{size}+1", "UNP+{size}+2", ["EDI034 UNO 4", "EDI034 UNP 5"]),
        ("UNP+{size}+1", "UNP+1{size}+1", ["EDI035 UNP 5"]),
        ("UNP+{size}+1", "UNP++1", ["EDI036 UNP 5"]),
        ("UNP+{size}+1", "UNP+x+1", ["EDI037 UNP 5"]),
        ("UNP+{size}+1", "UNP+{size}", ["EDI036 UNP 5"]),
        ("UNP+{size}+1", "UNP+{size}+1'UNP+{size}+1", ["EDI042 UNP 6", "EDI035 UNT 7"]),
        ("BGM+OBJ++9+NA", "UNP+1+1", ["EDI042 UNP 3"]),
    ],
)
def test_e15_unp(old: str, new: str, expected: list[str]) -> None:
    size = str(len(PAYLOAD))
    data = BINARY.replace(old.format(size=size).encode(), new.format(size=size).encode())
    assert places(interchanges_of(data)[1]) == expected


def test_e15_an_object_cut_off() -> None:
    at = BINARY.index(PAYLOAD) + 100
    (interchange,), issues = interchanges_of(BINARY[:at])
    assert [m.broken for m in interchange.messages] == [True]
    assert errors(issues) >= {"EDI015", "EDI033", "EDI031"}


def test_e15_line_ends_converted_on_the_way() -> None:
    (interchange,), issues = interchanges_of(BINARY.replace(b"\r\n", b"\n"))
    assert "EDI015" in errors(issues)
    assert [m.broken for m in interchange.messages] == [True]


def test_e15_a_line_end_before_unp() -> None:
    (interchange,), issues = interchanges_of(BINARY.replace(PAYLOAD, PAYLOAD + b"\r\n"))
    assert [(i.code, i.severity) for i in issues] == [("EDI017", Severity.WARNING)]
    assert interchange.messages[0].segments[3].binary == PAYLOAD


def test_e15_an_object_over_the_limit() -> None:
    (interchange,), issues = interchanges_of(BINARY, limits=Limits(attachment=100))
    assert errors(issues) == {"EDI016"}
    assert [m.broken for m in interchange.messages] == [True]


# -- mutants -----------------------------------------------------------------------------------------------------------

SERVICE = (
    b"'",
    b"+",
    b":",
    b"?",
    b"\0",
    b"\xff",
    b"\n",
    b"\xc3\xa5",
    b"UNT+1+1'",
    b"UNZ+1+1'",
    b"UNH+1+1'",
    b"UNO+1+1+1+3'",
)


def mutant(data: bytes, dice: random.Random) -> bytes:
    """One small change: of a byte, of a segment, of a digit of a trailer."""
    way, at = dice.randrange(10), dice.randrange(len(data))
    if way == 0:
        return data[:at] + data[at + 1 :]
    if way == 1:
        return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]
    if way == 2:
        return data[:at] + dice.choice(SERVICE) + data[at:]
    if way == 3:
        return data[:at] + dice.choice(SERVICE) + data[at + 1 :]
    if way == 4:
        return data[:at]
    if way == 5:
        other = dice.randrange(len(data))
        return data[: min(at, other)] + data[max(at, other) :]
    if way == 6:
        return data[:at] + data[dice.randrange(at + 1) :]
    segments = data.split(b"'")
    one, other = dice.randrange(len(segments)), dice.randrange(len(segments))
    if way == 7:
        del segments[one]
    elif way == 8:
        segments.insert(one, segments[other])
    else:
        segments[one], segments[other] = segments[other], segments[one]
    return b"'".join(segments)


def silently_accepted(originals: list[bytes], number: int, seed: int) -> list[bytes]:
    """The mutants with wrong envelopes in which our reader found no error. A traceback goes through."""
    dice = random.Random(seed)
    accepted = []
    for _ in range(number):
        data = mutant(dice.choice(originals), dice)
        if dice.random() < 0.3 and data:
            data = mutant(data, dice)
        interchanges, issues = interchanges_of(data)
        for issue in issues:
            assert 0 <= issue.at.offset <= len(data)
            assert issue.at.line > 0
        for interchange in interchanges:
            for segment in (s for m in interchange.messages for s in m.segments):
                assert len(segment.elements) == 0 or segment.locate(len(segment.elements), 1).offset >= 0
        if not errors(issues) and not any(i.code == "EDI017" for i in issues) and not reference.consistent(data):
            accepted.append(data)
        if errors(issues) & ENVELOPE and reference.consistent(data):
            accepted.append(data)
    return accepted


# What the reference reader judges too: an error of these where it finds the envelope right is a false alarm.
ENVELOPE = {"EDI030", "EDI031", "EDI032", "EDI033", "EDI034", "EDI035", "EDI038", "EDI044"}


def originals(shared: Path | None) -> list[bytes]:
    own = [data for name, data in ALL.items() if name != "own separators"]
    if shared is None:
        return own
    files = sorted((shared / "samples" / "medcom-2014" / "edifact").glob("*.edi"))
    return own + [path.read_bytes() for path in files]


def test_mutants_are_never_accepted_in_silence() -> None:
    assert silently_accepted(originals(None), 1000, seed=1) == []


def test_mutants_of_the_samples(shared: Path) -> None:
    assert silently_accepted(originals(shared), 1000, seed=2) == []


@pytest.mark.long
def test_many_mutants_of_the_samples(shared: Path) -> None:
    assert silently_accepted(originals(shared), 20_000, seed=3) == []


@pytest.mark.long
def test_every_truncation_of_the_samples(shared: Path) -> None:
    for data in originals(shared):
        whole = len(data.rstrip(b"\r\n"))
        for cut in truncations(data):
            _, issues = interchanges_of(cut)
            if len(cut) < whole and not reference.consistent(cut):
                assert errors(issues), len(cut)


@pytest.mark.parametrize("check", ["count", "same_reference", "required"])
def test_a_reader_without_a_check_is_caught(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the sweep."""
    answers: dict[str, Callable[..., object]] = {"required": lambda *_: True}
    monkeypatch.setattr(Controls, check, answers.get(check, lambda *_: None))
    data = [PLAIN, TWO_LETTERS]
    if check == "required":
        data = [PLAIN.replace(b"+KUVERT00001", b"+")]
    assert silently_accepted(data, 400, seed=4)


@pytest.mark.parametrize("name", ["plain", pytest.param("binary", marks=pytest.mark.long)])
def test_every_byte_deleted_or_replaced(name: str) -> None:
    data = ALL[name]
    for at in range(len(data)):
        for other in (b"", b"'", b"+", b"?", b"\0", b"\n"):
            changed = data[:at] + other + data[at + 1 :]
            _, issues = interchanges_of(changed)
            if not reference.consistent(changed):
                assert errors(issues), (at, other)


def test_written_segments_survive_the_same_sweep() -> None:
    """What the sweep's reference calls consistent is read with the reference's values."""
    dice = random.Random(5)
    read_alike = 0
    for _ in range(500):
        data = mutant(PLAIN, dice)
        if not reference.consistent(data):
            continue
        expected = reference.segments(data)
        found: list[Segment] = segments_of(data)[0]
        assert [[[s.tag], *s.elements] for s in found if s.tag != "???"] == [
            v for s, (_, _, v) in zip(found, expected, strict=True) if s.tag != "???"
        ]
        read_alike += 1
    assert read_alike > 20

"""Interchanges and messages: what is found wrong with them, at which segment, and how they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.edifact.controls import Controls, iso_date, iso_time
from converter.edifact.rows import write_interchange
from converter.edifact.segments import Segment
from converter.issues import IssueLog, Severity
from converter.limits import Limits
from tests.edifact import reference
from tests.edifact.interchanges import (
    ALL,
    BINARY,
    HEADER,
    LETTER,
    PAYLOAD,
    PLAIN,
    TRAILER,
    TWO_INTERCHANGES,
    TWO_LETTERS,
    errors,
    interchanges_of,
    messages_of,
    places,
    rows_of,
    segments_of,
)


def changed(old: str, new: str, data: bytes = PLAIN) -> bytes:
    """The interchange with the one place that reads `old` changed."""
    assert data.count(old.encode("latin-1")) == 1, old
    return data.replace(old.encode("latin-1"), new.encode("latin-1"))


def found(data: bytes) -> list[str]:
    return places(interchanges_of(data)[1])


# -- what is right -----------------------------------------------------------------------------------------------------


def test_what_an_interchange_says() -> None:
    (interchange,), issues = interchanges_of(PLAIN)
    assert issues == []
    assert (interchange.charset, interchange.syntax_version) == ("UNOC", "3")
    assert (interchange.sender, interchange.sender_qualifier) == ("5790000120314", "14")
    assert (interchange.receiver, interchange.receiver_qualifier) == ("5790000121526", "14")
    assert (interchange.date, interchange.time, interchange.sent) == ("260301", "1020", ("2026-03-01", "10:20"))
    assert (interchange.reference, interchange.acknowledgement) == ("KUVERT00001", "1")
    assert interchange.header is not None
    assert interchange.trailer is not None
    assert (interchange.header.tag, interchange.trailer.tag) == ("UNB", "UNZ")


def test_the_short_way_and_the_long_way_say_the_same() -> None:
    """A count with a leading zero is right and yet unusual, so the same letter is looked at by the other methods."""
    both = [interchanges_of(data) for data in (PLAIN, changed("UNZ+1+", "UNZ+01+"))]
    assert [issues for _, issues in both] == [[], []]
    (short,), (long,) = [found for found, _ in both]
    left_out = ("header", "origin", "messages", "trailer", "interchange", "segments")
    said = [
        [{name: getattr(one, name) for name in type(one).__slots__ if name not in left_out} for one in (x, *x.messages)]
        for x in (short, long)
    ]
    assert said[0] == said[1]
    for one, other in zip(short.messages, long.messages, strict=True):
        assert one.header is one.segments[0]
        assert [(s.tag, s.elements) for s in one.segments] == [(s.tag, s.elements) for s in other.segments]
    assert (short.trailer is not None, long.trailer is not None) == (True, True)


def test_what_a_message_says() -> None:
    (interchange,), _ = interchanges_of(PLAIN)
    (message,) = interchange.messages
    assert message.interchange is interchange
    assert (message.reference, message.type, message.standard_type) == ("BREV00001", "DIS91", "MEDDIS")
    assert (message.agency, message.association, message.broken) == ("UN", "D9134L", False)
    assert [s.tag for s in message.segments] == "UNH BGM DTM S01 NAD SEQ S07 PNA FTX UNT".split()  # noqa: SIM905
    assert message.header is message.segments[0]


def test_a_message_without_medcom_type_has_the_standard_type() -> None:
    (interchange,), _ = interchanges_of(changed("+DIS91'", "'"))
    assert interchange.messages[0].type == "MEDDIS"


@pytest.mark.parametrize("name", ALL)
def test_right_interchanges_have_no_errors(name: str) -> None:
    interchanges, issues = interchanges_of(ALL[name])
    assert errors(issues) == set()
    assert reference.consistent(ALL[name])
    assert all(not m.broken for i in interchanges for m in i.messages)


def test_several_messages_and_several_interchanges() -> None:
    (interchange,), _ = interchanges_of(TWO_LETTERS)
    assert [m.reference for m in interchange.messages] == ["BREV00001", "BREV00002"]
    interchanges, _ = interchanges_of(TWO_INTERCHANGES)
    assert [i.reference for i in interchanges] == ["KUVERT00001", "KUVERT00002"]
    assert [len(i.messages) for i in interchanges] == [1, 1]


def test_an_object_is_not_counted() -> None:
    (interchange,), issues = interchanges_of(BINARY)
    assert issues == []
    assert [s.tag for s in interchange.messages[0].segments] == ["UNH", "BGM", "UNO", "OBJ", "UNP", "UNT"]
    assert interchange.messages[0].segments[3].binary == PAYLOAD


# -- counts and references ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("UNT+10+", "UNT+11+", ["EDI035 UNT 11"]),
        ("UNT+10+", "UNT+9+", ["EDI035 UNT 11"]),
        ("UNT+10+", "UNT++", ["EDI036 UNT 11"]),
        ("UNT+10+", "UNT+ten+", ["EDI037 UNT 11"]),
        ("UNT+10+", "UNT+-10+", ["EDI037 UNT 11"]),
        ("UNT+10+", "UNT+10.0+", ["EDI037 UNT 11"]),
        ("UNT+10+", "UNT+ 10+", ["EDI037 UNT 11"]),
        ("UNT+10+", "UNT+1000000000000000010+", ["EDI037 UNT 11"]),
        ("UNT+10+", "UNT+" + "9" * 5000 + "+", ["EDI037 UNT 11"]),
        ("UNT+10+", "UNT+1²+", ["EDI037 UNT 11"]),
        ("UNT+10+", "UNT+0x0A+", ["EDI037 UNT 11"]),
        ("UNT+10+BREV00001'", "UNT+10'", ["EDI036 UNT 11"]),
        ("UNT+10+BREV00001'", "UNT'", ["EDI036 UNT 11", "EDI036 UNT 11"]),
        ("UNT+10+BREV00001'", "UNT+10+BREV00002'", ["EDI034 UNH 2", "EDI034 UNT 11"]),
        ("UNT+10+BREV00001'", "UNT+10+BREV00001:x'", ["EDI043 UNT 11"]),
        ("UNT+10+BREV00001'", "UNT+10+BREV00001+x'", ["EDI043 UNT 11"]),
        ("UNH+BREV00001", "UNH+BREV0000x", ["EDI034 UNH 2", "EDI034 UNT 11"]),
        ("UNH+BREV00001", "UNH+", ["EDI036 UNH 2"]),
        ("UNH+BREV00001", "UNH+  ", ["EDI036 UNH 2"]),
        ("+MEDDIS:D:93A:UN:D9134L", "+", ["EDI036 UNH 2"]),
        ("UNZ+1+", "UNZ+0+", ["EDI035 UNZ 12"]),
        ("UNZ+1+", "UNZ+2+", ["EDI035 UNZ 12"]),
        ("UNZ+1+", "UNZ++", ["EDI036 UNZ 12"]),
        ("UNZ+1+", "UNZ+one+", ["EDI037 UNZ 12"]),
        ("UNZ+1+", "UNZ+1:", ["EDI043 UNZ 12", "EDI036 UNZ 12"]),
        ("UNZ+1+KUVERT00001", "UNZ+1+KUVERT00002", ["EDI034 UNB 1", "EDI034 UNZ 12"]),
        ("UNZ+1+KUVERT00001", "UNZ+1", ["EDI036 UNZ 12"]),
        ("+KUVERT00001++++1'", "++++++1'", ["EDI036 UNB 1"]),
        ("UNB+UNOC:3+", "UNB+UNOC+", ["EDI036 UNB 1"]),
        ("UNB+UNOC:3+", "UNB+:3+", ["EDI036 UNB 1"]),
        ("UNB+UNOC:3+5790000120314:14", "UNB+UNOC:3+", ["EDI036 UNB 1"]),
        ("+5790000121526:14+", "++", ["EDI036 UNB 1"]),
        ("+260301:1020+", "++", ["EDI036 UNB 1", "EDI036 UNB 1"]),
        ("++++1'", "++++2'", ["EDI037 UNB 1"]),
        ("UNOC:3", "UNOC:3:x", ["EDI043 UNB 1"]),
        ("UNOC:3", "UNOC:4", ["EDI045 UNB 1"]),
    ],
)
def test_counts_and_references(old: str, new: str, expected: list[str]) -> None:
    assert found(changed(old, new)) == expected


def test_codes_of_contrl() -> None:
    codes = {
        "UNT+11+BREV00001": ("EDI035", 29),
        "UNT+x+BREV00001": ("EDI037", 12),
        "UNT++BREV00001": ("EDI036", 13),
        "UNT+10+BREV00002": ("EDI034", 28),
    }
    for trailer, (code, contrl) in codes.items():
        _, issues = interchanges_of(changed("UNT+10+BREV00001", trailer))
        assert {(i.code, i.kind.contrl, i.severity) for i in issues} == {(code, contrl, Severity.ERROR)}


def test_nothing_is_repaired() -> None:
    (interchange,), _ = interchanges_of(changed("UNT+10+", "UNT+11+"))
    (message,) = interchange.messages
    assert message.segments[-1].elements == [["11"], ["BREV00001"]]
    assert not message.broken


def test_no_value_is_in_a_message() -> None:
    _, issues = interchanges_of(changed("UNT+10+BREV00001", "UNT+250947+SECRET"))
    assert [i.value for i in issues if i.code == "EDI035"] == ["250947"]
    assert not [i for i in issues if "250947" in i.message or "SECRET" in i.message]


def test_a_dropped_segment_is_noticed() -> None:
    segments = [s + "'" for s in LETTER.replace("?'", "\0").split("'")[1:-2]]
    for segment in segments:
        data = changed(segment.replace("\0", "?'"), "")
        assert found(data)[-1].startswith("EDI035 UNT"), segment


# -- parts that are missing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (changed(HEADER, ""), ["EDI030 UNH 1"]),
        (changed(TRAILER, ""), ["EDI031 UNT 11"]),
        (changed("UNT+10+BREV00001'", ""), ["EDI033 UNZ 11"]),
        (
            changed("UNH+BREV00001+MEDDIS:D:93A:UN:D9134L+DIS91'", ""),
            ["EDI032 BGM 2", "EDI044 UNZ 11", "EDI035 UNZ 11"],
        ),
        (changed(LETTER, ""), ["EDI044 UNZ 2", "EDI035 UNZ 2"]),
        (("UNA:+.? '" + HEADER).encode(), ["EDI031 UNB 1"]),
        (changed("BREV00001'UNZ", "BREV00001'BGM+x'UNZ"), ["EDI032 BGM 12"]),
        (changed("UNH+", "BGM+x'BGM+y'UNH+"), ["EDI032 BGM 2"]),
        (PLAIN[9:] + TRAILER.encode(), ["EDI002 - 0", "EDI002 - 0", "EDI030 UNZ 13", "EDI044 UNZ 13", "EDI035 UNZ 13"]),
        (LETTER.encode("latin-1"), ["EDI002 - 0", "EDI030 UNH 1", "EDI031 UNT 10"]),
        (changed("S07+07'", HEADER + "S07+07'"), None),
        (changed(HEADER, HEADER + HEADER), ["EDI031 UNB 2", "EDI039 UNB 2"]),
    ],
)
def test_missing_parts(data: bytes, expected: list[str] | None) -> None:
    places_found = found(data)
    if expected is None:
        assert places_found[:3] == ["EDI042 UNB 8", "EDI033 UNB 8", "EDI031 UNB 8"]
    else:
        assert places_found == expected


def test_what_is_cut_off_is_broken_and_reading_goes_on() -> None:
    data = changed("UNT+10+BREV00001'", "", TWO_LETTERS)
    (interchange,), issues = interchanges_of(data)
    assert [(m.reference, m.broken) for m in interchange.messages] == [("BREV00001", True), ("BREV00002", False)]
    assert places(issues) == ["EDI033 UNH 11"]
    interchanges, issues = interchanges_of(PLAIN[:200] + PLAIN)
    assert [[m.broken for m in i.messages] for i in interchanges] == [[True], [False]]
    assert "EDI033" in errors(issues)


def test_a_message_without_type_is_broken() -> None:
    (interchange,), _ = interchanges_of(changed("+MEDDIS:D:93A:UN:D9134L+DIS91'", "'"))
    assert [m.broken for m in interchange.messages] == [True]


def test_an_interchange_without_header_is_read() -> None:
    (interchange,), _ = interchanges_of(changed(HEADER, ""))
    assert interchange.header is None
    assert (interchange.sender, interchange.sent) == ("", ("", ""))
    assert [(m.type, m.broken) for m in interchange.messages] == [("DIS91", False)]


# -- duplicates, groups, dates -----------------------------------------------------------------------------------------


def test_two_messages_of_one_reference() -> None:
    data = TWO_LETTERS.replace(b"BREV00002", b"BREV00001")
    (interchange,), issues = interchanges_of(data)
    assert places(issues) == ["EDI038 UNH 12"]
    assert issues[0].kind.contrl == 26
    assert "segment 2" in issues[0].message
    assert len(interchange.messages) == 2


def test_two_interchanges_of_one_reference() -> None:
    _, issues = interchanges_of(PLAIN + PLAIN)
    assert [(i.code, i.severity, i.kind.contrl) for i in issues] == [("EDI039", Severity.WARNING, 26)]
    other = PLAIN.replace(b"5790000120314", b"5790001382445")
    assert interchanges_of(PLAIN + other)[1] == []


UNG = "UNG+MEDDIS+5790000120314+5790000121526+260301:1020+G1+UN+D:93A'"


def test_functional_groups_are_refused() -> None:
    grouped = PLAIN.replace(b"UNH+", UNG.encode() + b"UNH+").replace(b"UNZ", b"UNE+1+G1'UNZ")
    (interchange,), issues = interchanges_of(grouped)
    assert places(issues) == ["EDI040 UNG 2", "EDI040 UNE 13"]
    assert issues[0].kind.contrl == 47
    assert [m.broken for m in interchange.messages] == [True]


def test_groups_and_messages_mixed() -> None:
    data = TWO_LETTERS.replace(b"UNH+BREV00002", UNG.encode() + b"UNH+BREV00002").replace(b"UNZ", b"UNE+1+G1'UNZ")
    _, issues = interchanges_of(data)
    assert errors(issues) == {"EDI040", "EDI041", "EDI035"}
    assert {i.kind.contrl for i in issues if i.code == "EDI041"} == {30}
    data = TWO_LETTERS.replace(b"UNH+BREV00001", UNG.encode() + b"UNH+BREV00001")
    data = data.replace(b"UNH+BREV00002", b"UNE+1+G1'UNH+BREV00002").replace(b"UNZ+2", b"UNZ+1")
    (interchange,), issues = interchanges_of(data)
    assert errors(issues) == {"EDI040", "EDI041"}
    assert [m.broken for m in interchange.messages] == [True, True]


@pytest.mark.parametrize(
    ("wire", "date"),
    [
        ("260301", "2026-03-01"),
        ("000101", "2000-01-01"),
        ("891231", "2089-12-31"),
        ("900101", "1990-01-01"),
        ("991231", "1999-12-31"),
        ("240229", "2024-02-29"),
        ("230229", ""),
        ("000229", "2000-02-29"),
        ("009999", ""),
        ("261301", ""),
        ("260300", ""),
        ("20260301", ""),
        ("2603", ""),
        ("", ""),
        ("26030x", ""),
        ("²60301", ""),
        ("-60301", ""),
    ],
)
def test_dates(wire: str, date: str) -> None:
    assert iso_date(wire) == date
    issues = found(changed("+260301:", f"+{wire}:"))
    assert issues == ([] if date else [f"{'EDI037' if wire else 'EDI036'} UNB 1"])


@pytest.mark.parametrize(
    ("wire", "time"),
    [
        ("0000", "00:00"),
        ("2359", "23:59"),
        ("2400", ""),
        ("2560", ""),
        ("1260", ""),
        ("12", ""),
        ("120000", ""),
        ("1a00", ""),
    ],
)
def test_times(wire: str, time: str) -> None:
    assert iso_time(wire) == time
    assert found(changed(":1020+", f":{wire}+")) == ([] if time else ["EDI037 UNB 1"])


# -- one message at a time ---------------------------------------------------------------------------------------------


def test_issues_come_with_their_message() -> None:
    faulty = TWO_LETTERS.replace(b"Elmer", b"El\tmer", 1)
    at = faulty.index(b"UNH+BREV00002")
    faulty = faulty[:at] + faulty[at:].replace(b"Elmer", b"Elm?er").replace(b"UNT+10", b"UNT+12")
    assert [(m.reference, places(i)) for m, i in messages_of(faulty)] == [
        ("BREV00001", ["EDI020 PNA 9"]),
        ("BREV00002", ["EDI008 PNA 19", "EDI035 UNT 21"]),
    ]


def test_issues_of_the_next_interchange_wait_for_it() -> None:
    data = PLAIN + PLAIN.replace(b"KUVERT00001", b"KUVERT00002").replace(b"Elmer", b"El\tmer")
    assert [places(i) for _, i in messages_of(data)] == [[], ["EDI020 PNA 21"]]


def test_messages_are_handed_out_before_the_input_is_read_to_its_end() -> None:
    log = IssueLog()
    from converter.edifact.envelope import read_messages

    many = PLAIN * 500 + b"UNA"
    first = next(iter(read_messages(many, log)))
    assert first.reference == "BREV00001"
    assert len(log) == 0


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_message_of_too_many_bytes() -> None:
    data = changed("S07+07'", "RFF+A:1'" * 20_000, TWO_LETTERS.replace(b"S07+07'", b"", 1))
    (interchange,), issues = interchanges_of(data, limits=Limits(message=100_000))
    assert [(i.code, i.at.segment, i.at.ordinal) for i in issues if i.code == "EDI046"] == [("EDI046", "UNH", 11)]
    assert [m.broken for m in interchange.messages] == [False, True]
    assert len(interchange.messages[1].segments) < 10_000


@pytest.mark.parametrize("piece", ["AAA'", "RFF+A:1'", "FTX" + "+" * 900 + "'"])
def test_a_message_of_too_many_pieces(piece: str) -> None:
    data = changed("S07+07'", piece * (500_000 // len(piece)))
    limits = Limits(constituents=50_000)
    (interchange,), issues = interchanges_of(data, limits=limits)
    assert "EDI046" in errors(issues)
    assert [m.broken for m in interchange.messages] == [True]
    assert sum(1 + sum(map(len, s.elements)) for s in interchange.messages[0].segments) < 150_000


def test_an_object_is_not_weighed_as_text() -> None:
    data = BINARY.replace(f"+{len(PAYLOAD)}".encode(), b"+100000").replace(PAYLOAD, b"x" * 100_000)
    data = data.replace(f"UNP+{len(PAYLOAD)}".encode(), b"UNP+100000")
    (interchange,), issues = interchanges_of(data, limits=Limits(constituents=1000))
    assert issues == []
    assert not interchange.messages[0].broken


def test_findings_of_one_kind_are_listed_a_hundred_times() -> None:
    data = changed("S07+07'", "x'" * 1000)
    _, issues = interchanges_of(data)
    assert [i.code for i in issues].count("EDI011") == 100
    (more,) = (i for i in issues if i.code == "EDI019")
    assert more.message.startswith("900 ")
    assert more.count == 900
    _, issues = interchanges_of(data + data)
    assert [i.code for i in issues].count("EDI011") == 200


# -- writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "binary"])
def test_write_counts_the_segments_and_names_the_references(name: str) -> None:
    header, *letter = segments_of(ALL[name])[0]
    assert write_interchange(rows_of([header, *letter[:-2]])) == ALL[name]


def test_write_escapes_references_once() -> None:
    message = Segment("UNH", [["R?1"], ["CONTRL", "D", "93A", "ZZ", "C0330Q"], ["CTL03"]])
    header = Segment("UNB", [["UNOC", "3"], ["a:b", "14"], ["c", "14"], ["260301", "1020"], ["K?1"]])
    data = write_interchange(rows_of([header, message]))
    assert data.startswith(b"UNA:+.? 'UNB+UNOC:3+a?:b:14+c:14+260301:1020+K??1'UNH+R??1+CONTRL:D:93A:ZZ:C0330Q+CTL03'")
    assert data.endswith(b"'UNT+2+R??1'UNZ+1+K??1'")
    (interchange,), issues = interchanges_of(data)
    assert issues == []
    assert (interchange.acknowledgement, interchange.messages[0].agency) == ("", "ZZ")


# -- third-party samples -----------------------------------------------------------------------------------------------


def test_samples_have_right_envelopes(shared: Path) -> None:
    files = sorted((shared / "samples" / "medcom-2014" / "edifact").glob("*.edi"))
    assert len(files) >= 26
    for path in files:
        (interchange,), issues = interchanges_of(path.read_bytes())
        assert errors(issues) == set(), path.name
        (message,) = interchange.messages
        assert not message.broken
        assert all(interchange.sent)
        assert path.name.startswith(message.type) or path.name == "DIS91_3.edi"


FAULTY = {
    "UNB0": "UNB",
    "UNB2": "UNB",
    "UNH0": "UNH",
    "UNH2": "UNH",
    "UNT0": "UNT",
    "UNT2": "UNT",
    "UNZ0": "UNZ",
    "UNZ2": "UNZ",
}


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_samples_give_an_error_at_the_right_segment(name: str, shared: Path) -> None:
    data = (shared / "samples" / "medcom-2014" / "faulty" / f"DIS20_ERROR_{name}.edi").read_bytes()
    _, issues = interchanges_of(data)
    assert FAULTY[name] in {i.at.segment for i in issues if i.severity is Severity.ERROR}
    assert not reference.consistent(data)


def test_a_reader_that_does_not_count_would_be_caught(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: without the check, the test above finds nothing."""
    monkeypatch.setattr(Controls, "count", lambda *_: None)
    data = (shared / "samples" / "medcom-2014" / "faulty" / "DIS20_ERROR_UNT0.edi").read_bytes()
    assert interchanges_of(data)[1] == []

"""Bytes to segments and back: separators, release characters, line ends, character sets, objects, positions."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from converter.edifact import splitting, syntax
from converter.edifact.charsets import unwritable
from converter.edifact.segments import Lines
from converter.edifact.syntax import DEFAULT, Segment, Separators
from converter.errors import InterchangeError
from converter.issues import Severity
from converter.limits import Limits
from tests.edifact import reference
from tests.edifact.interchanges import (
    ALL,
    BINARY,
    HEADER,
    PAYLOAD,
    PLAIN,
    TRAILER,
    errors,
    places,
    segments_of,
    write_segments,
)

TAGS_OF_PLAIN = ["UNB", "UNH", "BGM", "DTM", "S01", "NAD", "SEQ", "S07", "PNA", "FTX", "UNT", "UNZ"]


def around(body: str, charset: str = "UNOC") -> bytes:
    """An interchange of one message with this body, written as Latin-1."""
    count = body.replace("?'", "").count("'") + 2
    head = HEADER.replace("UNOC", charset)
    text = f"UNA:+.? '{head}UNH+B1+MEDDIS:D:93A:UN:D9134L+DIS91'{body}UNT+{count}+B1'{TRAILER}"
    return text.encode("latin-1")


def texts(data: bytes, **options: object) -> list[str]:
    """The values of the FTX segments' fourth elements."""
    segments, _ = segments_of(data, **options)
    return [value for s in segments if s.tag == "FTX" for value in s.elements[3]]


# -- segments ----------------------------------------------------------------------------------------------------------


def test_segments_have_tags_elements_and_numbers() -> None:
    segments, issues = segments_of(PLAIN)
    assert issues == []
    assert [s.tag for s in segments] == TAGS_OF_PLAIN
    assert [s.ordinal for s in segments] == list(range(1, 13))
    assert segments[2].elements == [["EPI"], [""], ["9"], ["NA"]]
    assert segments[5].elements[1] == ["9901010", "SKS", "SST"]
    assert segments[9].elements[3] == [
        "Kære kollega.",
        ".",
        "Ring på tlf: 70112233 + lokal 4. Spørgsmål?",
        "Afsnit 'M2'",
    ]


def test_get_counts_from_one_and_gives_nothing_for_what_is_absent() -> None:
    nad = segments_of(PLAIN)[0][5]
    assert (nad.get(1), nad.get(2, 3), nad.get(2, 4), nad.get(9)) == ("SSP", "SST", "", "")


@pytest.mark.parametrize("name", ALL)
def test_the_reader_agrees_with_the_reference(name: str) -> None:
    segments, issues = segments_of(ALL[name])
    assert not errors(issues)
    expected = reference.segments(ALL[name])
    assert [(s.start, s.end) for s in segments] == [(start, end) for start, end, _ in expected]
    assert [[] if s.binary is not None else [[s.tag], *s.elements] for s in segments] == [v for _, _, v in expected]


def test_a_segment_without_elements() -> None:
    (segment,) = (s for s in segments_of(around("UGH'"))[0] if s.tag == "UGH")
    assert segment.elements == []
    assert segment.locate(1, 1).column == segment.locate().column + 3


@pytest.mark.parametrize("tag", ["", "F", "FT", "FTXX", "ftx", "1TX", "FT:X", "F X", "Bent Jensen"])
def test_a_tag_that_is_none_is_found_and_kept_out_of_the_tag(tag: str) -> None:
    segments, issues = segments_of(around(f"BGM+EPI'{tag}+NC'DTM+1'"))
    assert places(issues) == ["EDI011 - 4"]
    assert issues[0].value == tag
    assert (segments[3].tag, segments[3].elements) == (splitting.NO_TAG, [["NC"]])
    assert [s.tag for s in segments[4:]] == ["DTM", "UNT", "UNZ"]


def test_blanks_before_a_tag_are_left_out_and_reported() -> None:
    segments, issues = segments_of(around("  BGM+EPI'\n\t DTM+137'"))
    assert [s.tag for s in segments[2:4]] == ["BGM", "DTM"]
    assert [i.code for i in issues] == ["EDI012", "EDI012"]
    data = around("  BGM+EPI'\n\t DTM+137'")
    assert [data[s.start : s.end] for s in segments[2:4]] == [b"BGM+EPI", b"DTM+137"]


# -- separators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("advice", [":+.? '", ":+,? '", "|;,!~$", "<>.# @", "\\^.% |", "'+.?*:", ":+. *'"])
def test_legal_separators(advice: str) -> None:
    component, element, decimal, release, reserved, terminator = advice
    separators = Separators(component, element, decimal, release.strip(), terminator)
    wanted = [Segment("UNB", [["UNOC", "3"], ["a"]]), Segment("FTX", [["b", "", "c"], [""], ["d"]])]
    data = write_segments(wanted, separators).replace(b" " + terminator.encode(), (reserved + terminator).encode(), 1)
    segments, issues = segments_of(data)
    assert segments[0].origin is not None
    assert segments[0].origin.separators == separators
    assert [(s.tag, s.elements) for s in segments] == [(s.tag, s.elements) for s in wanted]
    assert [i.severity for i in issues] == ([Severity.WARNING] if reserved not in " *" else [])


@pytest.mark.parametrize(
    "advice",
    ["++.? '", ":+.+ '", ":+.? :", ":+:? '", "a+.? '", ":1.? '", ":+.? Z", " +.? '", ": .? '", ":+.?  ", ":+;? '"]
    + [f":+.? {control}" for control in "\0\n\r\x1c\x7f\x9f"]
    + ["\0+.? '", ":\n.? '", ":+.\r '", "æ+.? '", ":+.? \xa0", ":+\n? '"],
)
def test_illegal_separators_are_refused(advice: str) -> None:
    data = b"UNA" + advice.encode("latin-1") + PLAIN[9:]
    segments, issues = segments_of(data)
    assert "EDI003" in errors(issues)
    assert issues[0].kind.contrl == 20
    assert issues[0].at.offset == 0
    # The rest is plainly written with the standard separators, so it can be looked at, under the error.
    assert len(segments) == 12


def test_after_an_unusable_advice_nothing_is_guessed() -> None:
    strange = PLAIN.replace(b"UNA:+.? '", b"UNA;;.? '").translate(bytes.maketrans(b":+", b";;"))
    segments, issues = segments_of(strange)
    assert segments == []
    assert {"EDI003", "EDI005", "EDI001"} == errors(issues)


@pytest.mark.parametrize("length", range(3, 9))
def test_a_short_advice(length: int) -> None:
    assert {"EDI003", "EDI001"} == errors(segments_of(PLAIN[:length])[1])


def test_two_advices_and_an_advice_inside() -> None:
    segments, issues = segments_of(PLAIN[:9] + PLAIN)
    assert places(issues) == ["EDI004 - 0"]
    assert len(segments) == 12
    data = PLAIN.replace(b"SEQ++1'", b"SEQ++1'UNA:+.? '")
    segments, issues = segments_of(data)
    assert places(issues) == ["EDI004 - 0"]
    assert issues[0].at.offset == data.index(b"UNA", 3)
    assert len(segments) == 12


def test_text_that_looks_like_an_advice_or_service_segment_is_text() -> None:
    body = "FTX+NC+P00++BRUNA?'UNA?:?+.? FAUNA:UNZ?+1:x?'UNZ?+1?+K?':UNB?+y:UNO'".replace(".? ", ". ")
    data = around(body)
    segments, issues = segments_of(data)
    assert issues == []
    assert [s.tag for s in segments] == ["UNB", "UNH", "FTX", "UNT", "UNZ"]
    assert segments[2].elements[3] == ["BRUNA'UNA:+. FAUNA", "UNZ+1", "x'UNZ+1+K'", "UNB+y", "UNO"]


def test_without_advice_the_standard_separators_hold() -> None:
    segments, issues = segments_of(PLAIN[9:])
    assert [(i.code, i.severity) for i in issues] == [("EDI002", Severity.INFO)]
    assert len(segments) == 12


def test_each_interchange_has_its_own_separators() -> None:
    other = ALL["own separators"]
    segments, issues = segments_of(other + PLAIN + PLAIN[9:] + other)
    assert not errors(issues)
    assert len(segments) == 48
    assert len({s.origin for s in segments}) == 4
    assert [s.tag for s in segments] == [s.tag for s in segments[:12]] * 4
    assert [s.elements for s in segments[:12]] == [s.elements for s in segments[36:]]
    assert [s.elements for s in segments[12:24]] == [s.elements for s in segments[24:36]]


# -- release characters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("a??b", ["a?b"]),
        ("a?+b", ["a+b"]),
        ("a?:b", ["a:b"]),
        ("a?'b", ["a'b"]),
        ("??", ["?"]),
        ("????", ["??"]),
        ("???'", ["?'"]),
        ("???+???:", ["?+?:"]),
        ("??:b", ["?", "b"]),
        ("a?::?:b", ["a:", ":b"]),
        ("æ?:ø", ["æ:ø"]),
        ("?'?'?'", ["'''"]),
    ],
)
def test_released_characters(written: str, values: list[str]) -> None:
    segments, issues = segments_of(around(f"FTX+NC+P00++{written}'"))
    assert issues == []
    assert segments[2].elements == [["NC"], ["P00"], [""], values]
    assert len(segments) == 5


@pytest.mark.parametrize(("written", "value", "number"), [("a?b", "ab", 1), ("Hvad? Hvem?", "Hvad Hvem'UNT", 2)])
def test_a_release_before_any_other_character(written: str, value: str, number: int) -> None:
    segments, issues = segments_of(around(f"FTX+NC+P00++{written}'"))
    ftx = segments[2]
    assert ftx.elements[3] == [value]
    assert errors(issues) == {"EDI008"}
    assert (issues[0].at.segment, issues[0].at.ordinal, issues[0].kind.contrl) == ("FTX", 3, 22)
    assert issues[0].message.startswith(f"{number - (number == 2)} ")


def test_a_release_at_the_end_of_the_input() -> None:
    for end in (b"?", b"?\n", b"??", b"???'"):
        assert "EDI010" in errors(segments_of(PLAIN[:-1] + end)[1])


def test_no_release_character_at_all() -> None:
    data = b"UNA:+.  'UNB+UNOC:3+what? ever'"
    segments, issues = segments_of(data)
    assert issues == []
    assert segments[0].elements == [["UNOC", "3"], ["what? ever"]]


# -- line ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\n\r"])
def test_line_ends_between_segments_go_unmentioned(end: str) -> None:
    data = PLAIN.replace(b"?'", b"\0").replace(b"'", b"'" + end.encode()).replace(b"\0", b"?'")
    segments, issues = segments_of(data)
    assert issues == []
    assert [(s.tag, s.elements) for s in segments] == [(s.tag, s.elements) for s in segments_of(PLAIN)[0]]
    assert all(data[s.start : s.start + 3].decode() == s.tag for s in segments)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("width", [1, 7, 80])
def test_hard_wraps_are_undone_and_noted_once(width: int, end: bytes) -> None:
    wrapped = PLAIN[:9] + end.join(PLAIN[i : i + width] for i in range(9, len(PLAIN), width))
    segments, issues = segments_of(wrapped)
    assert [(s.tag, s.elements) for s in segments] == [(s.tag, s.elements) for s in segments_of(PLAIN)[0]]
    assert [(i.code, i.severity) for i in issues] == [("EDI007", Severity.INFO)]


def test_a_line_end_after_a_release_character_does_not_count() -> None:
    for end in ("\n", "\r\n", "\r\n\n"):
        segments, issues = segments_of(around(f"FTX+NC+P00++a?{end}'b?{end}?:c?{end}+'"))
        assert segments[2].elements[3] == ["a'b?", "c+"]
        assert [i.code for i in issues] == ["EDI007"]


def test_a_released_terminator_before_a_regular_line_end() -> None:
    data = around("FTX+NC+P00++a?'b'").replace(b"'", b"'\n").replace(b"UNA:+.? '\n", b"UNA:+.? '")
    segments, issues = segments_of(data)
    assert segments[2].elements[3] == ["a'b"]
    assert [i.code for i in issues] == ["EDI007"]
    assert data[slice(*segments[2].span(4, 1))] == b"a?'\nb"


def test_text_values_never_hold_line_ends_though_objects_do() -> None:
    (holder,) = (s for s in segments_of(BINARY)[0] if s.binary is not None)
    assert holder.binary == PAYLOAD


# -- junk --------------------------------------------------------------------------------------------------------------


def test_junk_before_between_and_after() -> None:
    data = b"MIME 1.0\r\n\r\n" + PLAIN + b"\r\n\x1a rest \n" + PLAIN + b"\0\0"
    segments, issues = segments_of(data)
    assert len(segments) == 24
    assert [(i.code, i.at.offset, i.kind.contrl) for i in issues] == [
        ("EDI005", 0, 33),
        ("EDI005", 12 + len(PLAIN) + 2, 33),
        ("EDI005", len(data) - 2, 33),
    ]
    assert [i.message.split()[0] for i in issues] == ["8", "6", "2"]


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_byte_order_mark(mark: bytes) -> None:
    segments, issues = segments_of(mark + PLAIN)
    assert [(i.code, i.severity) for i in issues] == [("EDI006", Severity.WARNING)]
    assert len(segments) == 12


@pytest.mark.parametrize("data", [b"", b" ", b"\r\n\t ", b"x", b"UNA:+.? '", b"<xml/>", b"UN", b"UNB", b"UNB+UNOC:3"])
def test_no_interchange(data: bytes) -> None:
    segments, issues = segments_of(data)
    assert segments == []
    assert "EDI001" in errors(issues)
    assert issues[-1].kind.contrl == 13


# -- character sets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("UNOA", "ascii", "UPPER CASE ONLY 12 (A)"),
        ("UNOB", "ascii", "Both cases"),
        ("UNOC", "latin-1", "Sønderjyllands Amt æøåÆØÅé ½ §"),
        ("UNOD", "iso8859-2", "Łódź"),
        ("UNOE", "iso8859-5", "Москва ТА ДА"),
        ("UNOF", "iso8859-7", "Αθήνα"),
        ("UNOW", "utf-8", "Sønderjylland – Łódź €"),
        ("UNOY", "utf-8", "smiley \U0001f600 ok"),
    ],
)
def test_character_sets(charset: str, codec: str, text: str) -> None:
    data = around("FTX+NC+P00++@'", charset).replace(b"@", text.encode(codec))
    segments, issues = segments_of(data)
    assert segments[2].elements[3] == [text]
    assert issues == []
    assert segments[2].origin is not None
    assert segments[2].origin.codec == {"ascii": "latin-1"}.get(codec, codec)


def test_utf_8_bytes_under_a_latin_1_label() -> None:
    data = around("FTX+NC+P00++Kære kollega på 3. sal, “citat”'".replace("“", "@").replace("”", "@"))
    data = data.decode("latin-1").replace("@", "“").encode("utf-8")
    segments, issues = segments_of(data)
    assert errors(issues) == {"EDI021"}
    (issue,) = issues
    assert issue.kind.contrl == 21
    assert "UNOC" in issue.message
    assert "ISO 8859-1" in issue.message
    assert "UTF-8" in issue.message
    assert (issue.at.segment, issue.at.element, issue.at.component) == ("FTX", 4, 1)
    assert issue.at.offset == data.index("æ".encode())
    assert segments[2].elements[3][0].startswith("KÃ¦re")
    assert texts(data, encoding="utf-8") == ["Kære kollega på 3. sal, “citat“"]
    assert segments_of(data, encoding="utf-8")[1] == []


def test_text_that_could_be_both_is_a_warning() -> None:
    _, issues = segments_of(around("FTX+NC+P00++CAFÉ»'"))
    assert [(i.code, i.severity) for i in issues] == [("EDI021", Severity.WARNING)]


def test_windows_1252_under_a_latin_1_label() -> None:
    data = around("FTX+NC+P00++'", "UNOC").replace(b"P00++'", b"P00++\x93citat\x94 \x96 5 \x80'")
    segments, issues = segments_of(data)
    assert errors(issues) == {"EDI022"}
    assert issues[0].message.startswith("4 byte(s)")
    assert "windows-1252" in issues[0].message
    assert segments[2].elements[3] == ["\x93citat\x94 \x96 5 \x80"]
    assert texts(data, encoding="windows-1252") == ["“citat” – 5 €"]
    assert segments_of(data, encoding="windows-1252")[1] == []


def test_control_characters_are_found_and_kept() -> None:
    segments, issues = segments_of(around("FTX+NC+P00++a\tb\x00:c\x1f'"))
    assert segments[2].elements[3] == ["a\tb\x00", "c\x1f"]
    assert [(i.code, i.message.split()[0], i.at.element, i.at.component) for i in issues] == [("EDI020", "3", 4, 1)]


def test_lower_case_under_unoa() -> None:
    _, issues = segments_of(around("FTX+NC+P00++ABC:DeF'", "UNOA"))
    assert [(i.code, i.message.split()[0], i.at.element, i.at.component) for i in issues] == [("EDI023", "1", 4, 2)]
    _, issues = segments_of(around("FTX+NC+P00++bl\xe5'", "UNOB"))
    assert errors(issues) == {"EDI023"}


@pytest.mark.parametrize("label", ["UNOX", "UNOZ", "unoc", "KECA"])
def test_unknown_label(label: str) -> None:
    segments, issues = segments_of(around("FTX+NC+P00++på'", label))
    assert errors(issues) == {"EDI025"}
    assert (issues[0].at.segment, issues[0].at.element, issues[0].kind.contrl) == ("UNB", 1, 46)
    assert label not in issues[0].message
    assert segments[2].elements[3] == ["på"]


def test_constants_that_are_kept_do_not_carry_their_characters_over() -> None:
    for _ in range(2):
        for charset, value in (("UNOY", "å"), ("UNOC", "Ã¥")):
            segments, _ = segments_of(around("RFF+@'", charset).replace(b"@", "å".encode()))
            assert segments[2].elements == [[value]]


def test_bytes_that_are_not_in_the_character_set() -> None:
    data = around("FTX+NC+P00++på'", "UNOY")
    segments, issues = segments_of(data)
    assert errors(issues) == {"EDI024"}
    assert issues[0].at.offset == data.index(b"\xe5")
    assert segments[2].elements[3] == ["p\ufffd"]
    assert errors(segments_of(around("FTX+NC+P00++a\xff'", "UNOF"))[1]) == {"EDI024"}
    assert errors(segments_of(around("FTX+NC+P00++\x81'"), encoding="windows-1252")[1]) == {"EDI024"}


def test_an_encoding_that_is_none_of_ours() -> None:
    for encoding in ("utf-16", "nonsense", "ebcdic-cp-us"):
        with pytest.raises(InterchangeError, match="utf-8"):
            segments_of(PLAIN, encoding=encoding)


# -- objects -----------------------------------------------------------------------------------------------------------


def test_an_object_is_read_by_its_length() -> None:
    segments, issues = segments_of(BINARY)
    assert issues == []
    assert [s.tag for s in segments] == ["UNB", "UNH", "BGM", "UNO", "OBJ", "UNP", "UNT", "UNZ"]
    assert [s.ordinal for s in segments] == [1, 2, 3, 4, 4, 5, 6, 7]
    assert [s.binary is not None for s in segments] == [s.tag == "OBJ" for s in segments]
    assert BINARY[segments[4].start : segments[4].end] == segments[4].binary == PAYLOAD
    assert segments[4].locate().offset == BINARY.index(PAYLOAD)


def test_a_real_segment_called_obj_is_no_object() -> None:
    (segment,) = (s for s in segments_of(around("OBJ+1'"))[0] if s.tag == "OBJ")
    assert segment.binary is None


# -- positions ---------------------------------------------------------------------------------------------------------


def escaped(value: str, separators: Separators = DEFAULT) -> bytes:
    for char in (separators.release, separators.component, separators.element, separators.terminator):
        value = value.replace(char, separators.release + char)
    return value.encode("latin-1")


def unlined(raw: bytes) -> bytes:
    return raw.replace(b"\r", b"").replace(b"\n", b"")


CHARACTERS = st.characters(min_codepoint=32, max_codepoint=255).filter(lambda c: not "\x7f" <= c <= "\xa0")
VALUES = st.text(st.one_of(st.sampled_from("?'+: A9æ."), CHARACTERS), max_size=12)
TAGS = st.sampled_from(["FTX", "NAD", "S01", "RFF", "SEQ", "PNA"])


@st.composite
def bodies(draw: st.DrawFn) -> list[Segment]:
    """Segments in normal form: nothing empty at an end."""
    segments = [Segment("UNB", [["UNOC", "3"], ["s"]])]
    for _ in range(draw(st.integers(0, 6))):
        elements = draw(st.lists(st.lists(VALUES, min_size=1, max_size=4), max_size=5))
        for components in elements:
            while len(components) > 1 and not components[-1]:
                components.pop()
        while elements and elements[-1] == [""]:
            elements.pop()
        segments.append(Segment(draw(TAGS), elements))
    return segments


def wraps(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with line ends put in anywhere behind UNA."""
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(9, len(data)))
        data = data[:at] + draw(st.sampled_from([b"\n", b"\r\n", b"\r"])) + data[at:]
    return data


EXAMPLES = pytest.mark.parametrize("examples", [50, pytest.param(150, marks=pytest.mark.long)])


@EXAMPLES
def test_read_gives_what_write_wrote_and_write_what_was_read(examples: int) -> None:
    @given(bodies())
    @settings(max_examples=examples, deadline=None)
    def law(segments: list[Segment]) -> None:
        data = write_segments(segments)
        found, issues = segments_of(data)
        assert not [i for i in issues if i.code != "EDI021"]  # invented text may look like UTF-8
        assert [(s.tag, s.elements) for s in found] == [(s.tag, s.elements) for s in segments]
        assert write_segments(found) == data

    law()


@EXAMPLES
def test_every_component_stands_where_it_is_said_to(examples: int) -> None:
    @given(bodies(), st.data())
    @settings(max_examples=examples, deadline=None)
    def law(segments: list[Segment], data: st.DataObject) -> None:
        raw = wraps(data.draw, write_segments(segments))
        found, _ = segments_of(raw)
        assert [(s.tag, s.elements) for s in found] == [(s.tag, s.elements) for s in segments]
        for segment in found:
            assert unlined(raw[segment.start : segment.end]).startswith(segment.tag.encode())
            for number, components in enumerate(segment.elements, 1):
                for component, value in enumerate(components, 1):
                    start, end = segment.span(number, component)
                    assert unlined(raw[start:end]) == escaped(value)
                    place = segment.locate(number, component)
                    assert (place.offset, place.element, place.component) == (start, number, component)
                    assert place.line == raw[:start].count(b"\n") + 1
                    assert place.column == start - raw.rfind(b"\n", 0, start)
                    if value and raw[start:end] == escaped(value):
                        assert segment.holder(start) == segment.holder(end - 1) == (number, component)

    law()


@EXAMPLES
def test_blocks_make_no_difference(examples: int) -> None:
    @given(bodies(), st.data(), st.integers(3, 40))
    @settings(max_examples=examples, deadline=None)
    def law(segments: list[Segment], data: st.DataObject, block: int) -> None:
        raw = wraps(data.draw, write_segments(segments)) + PLAIN
        whole, issues = segments_of(raw)
        before, syntax._BLOCK = syntax._BLOCK, block
        try:
            pieces, others = segments_of(raw)
        finally:
            syntax._BLOCK = before
        assert [(s.tag, s.elements, s.ordinal, s.start, s.end) for s in pieces] == [
            (s.tag, s.elements, s.ordinal, s.start, s.end) for s in whole
        ]
        assert sorted(others, key=str) == sorted(issues, key=str)

    law()


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", "ø".encode(), "€".encode(), b"b" * 30]), max_size=60))
@example([b"\n"] * 3)
@settings(max_examples=100, deadline=None)
def test_lines_and_columns(pieces: list[bytes]) -> None:
    import converter.edifact.segments as module

    data = b"".join(pieces)
    before, module._STEP = module._STEP, 16
    try:
        lines = Lines(data)
        for offset in reversed(range(len(data) + 1)):
            head = data[:offset]
            start = head.rfind(b"\n") + 1
            assert lines.place(offset) == (head.count(b"\n") + 1, offset - start + 1)
            wide = len(data[start:offset].decode("utf-8", "ignore")) + 1
            if offset == len(data) or data[offset] & 0xC0 != 0x80:
                assert lines.place(offset, wide=True)[1] == wide
    finally:
        module._STEP = before


def test_columns_of_utf_8_count_characters() -> None:
    data = around("FTX+NC+P00++@:b'", "UNOY").replace(b"@", "æøå€".encode())
    ftx = segments_of(data)[0][2]
    assert ftx.locate(4, 2).column - ftx.locate(4, 1).column == 5
    assert ftx.locate(4, 2).offset - ftx.locate(4, 1).offset == 10


def test_what_is_absent_is_located_where_it_would_have_to_be_added() -> None:
    bgm = segments_of(PLAIN)[0][2]
    assert bgm.locate(9).offset == bgm.end
    assert bgm.locate(1, 5).offset == PLAIN.index(b"EPI") + 3
    assert bgm.locate(9).element == 9
    assert Segment("FTX", []).locate(1).offset == -1
    assert Segment("FTX", [["a"]]).span(1, 1) == (-1, -1)


def test_segments_can_be_sent_to_another_process() -> None:
    segments, _ = segments_of(BINARY)
    copies = pickle.loads(pickle.dumps(segments))
    assert [(s.tag, s.elements, s.locate(1, 1), s.binary) for s in copies] == [
        (s.tag, s.elements, s.locate(1, 1), s.binary) for s in segments
    ]


def test_a_repr_shows_no_values() -> None:
    assert "Elmer" not in repr(segments_of(PLAIN)[0][8])


# -- writing -----------------------------------------------------------------------------------------------------------


def test_write_escapes_the_four_characters_and_nothing_else() -> None:
    data = write_segments([Segment("FTX", [["?':+.,*\\& æ"]])])
    assert data == "UNA:+.? 'FTX+???'?:?+.,*\\& æ'".encode("latin-1")


def test_write_leaves_out_what_is_empty_at_an_end() -> None:
    data = write_segments([Segment("FTX", [["a", "", ""], [], [""], ["", "b", ""], ["", ""]]), Segment("UGH", [[""]])])
    assert data == b"UNA:+.? 'FTX+a+++:b'UGH'"


@pytest.mark.parametrize("value", ["100 €", "“citat”", "a\nb", "a\tb", "\x7f", "\x85", "\U0001f600", "\ue000"])
def test_write_refuses_what_the_character_set_cannot_carry(value: str) -> None:
    with pytest.raises(InterchangeError) as caught:
        write_segments([Segment("UNB", []), Segment("FTX", [["a"], [value]])])
    assert "segment 2 (FTX)" in str(caught.value)
    assert value not in str(caught.value)
    assert unwritable(value) == [i for i, c in enumerate(value) if c in "€“”\n\t\x7f\x85\U0001f600\ue000"]


def test_write_other_character_sets() -> None:
    assert write_segments([Segment("FTX", [["å"]])], charset="UNOY").endswith("FTX+å'".encode())
    assert unwritable("Abc æ", "UNOB") == [4]
    assert unwritable("Abc", "UNOA") == [1, 2]


def test_write_without_release_character() -> None:
    separators = Separators(release="")
    assert write_segments([Segment("FTX", [["a?b"]])], separators) == b"UNA:+.  'FTX+a?b'"
    with pytest.raises(InterchangeError):
        write_segments([Segment("FTX", [["a'b"]])], separators)


@pytest.mark.parametrize("name", ["plain", "two letters", "binary"])
def test_write_what_was_read(name: str) -> None:
    assert write_segments(segments_of(ALL[name])[0]) == ALL[name]


# -- third-party samples -----------------------------------------------------------------------------------------------


def samples(shared: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted((shared / "samples" / "medcom-2014").rglob("*.edi")):
        yield path, path.read_bytes()


def test_samples_read_and_write_back_to_the_same_bytes(shared: Path) -> None:
    number = 0
    for path, data in samples(shared):
        segments, issues = segments_of(data)
        assert not errors(issues), path.name
        assert [(s.start, s.end) for s in segments] == [(a, b) for a, b, _ in reference.segments(data)], path.name
        if path.parent.name == "edifact":
            assert [[] if s.binary is not None else [[s.tag], *s.elements] for s in segments] == [
                v for _, _, v in reference.segments(data)
            ]
            normal = data if b"UNO+" in data else unlined(data)
            assert write_segments(segments) == normal.rstrip(b"\r\n"), path.name
            number += 1
    assert number >= 26


def test_limits_of_a_segment() -> None:
    long = around("FTX+NC+P00++" + "a" * 2000 + "'")
    assert segments_of(long)[1] == []
    segments, issues = segments_of(long, limits=Limits(segment=1500))
    assert places(issues) == ["EDI009 - 3"]
    assert [s.tag for s in segments] == ["UNB", "UNH", "UNT", "UNZ"]
    assert segments[2].ordinal == 4


@pytest.mark.long
def test_reading_is_many_times_as_fast_as_pydifact(shared: Path) -> None:
    """A guard with a margin; the figure itself is made by the benchmarks."""
    import statistics
    import time
    import warnings

    from pydifact.parser import Parser

    warnings.simplefilter("ignore")
    files = [data for path, data in samples(shared) if path.parent.name == "edifact" and b"UNO+" not in data]
    ratios = []
    for _ in range(9):
        begin = time.process_time()
        for data in files:
            segments_of(data)
        middle = time.process_time()
        for data in files:
            list(Parser().parse(data.decode("latin-1")))
        ratios.append((time.process_time() - middle) / (middle - begin))
    assert statistics.median(ratios) > 15

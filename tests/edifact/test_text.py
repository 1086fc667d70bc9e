"""Formatted text and logical lines on the wire, and characters that the wire cannot carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.edifact.atonce import plain_text
from converter.edifact.substitutes import carried, substituted
from converter.edifact.text import (
    COMPONENTS,
    FORMATS,
    MAX_COMPONENT,
    normal_text,
    read_lines,
    read_text,
    write_lines,
    write_text,
)
from converter.letter import Text
from tests.letters_strategy import texts


@pytest.mark.parametrize(
    ("components", "text"),
    [
        (["a"], "a\n"),
        (["a", "."], "a\n\n"),
        (["a", ""], "a\n\n"),
        ([".", "."], "\n\n"),
        (["a \\", "b"], "a b\n"),
        (["a\\", "."], "a\n"),
        (["a\\", ""], "a\n"),
        (["a\\\\", "."], "a\\\n"),
        ([".\\", "."], ".\n"),
        (["a\\"], "a"),
        ([], ""),
        (["  x "], "  x \n"),
    ],
)
def test_components_read_to_text(components: list[str], text: str) -> None:
    assert read_text([("P00", components)]) == ((("P00", text),) if text else ())
    expected = ((("P00", text),) if text[-1:] == "\n" else None) if components else None
    if components:
        assert plain_text("P00", ":".join(components), "", "FTX+", "++", "'", "") == expected


def test_lines_go_on_across_segments_and_formats() -> None:
    parts = [("P00", ["Resultaterne \\"]), ("PK0", ["bedes\\"]), ("P00", [" sendt", "."]), ("P00", ["Hilsen"])]
    assert read_text(parts) == (("P00", "Resultaterne "), ("PK0", "bedes"), ("P00", " sendt\n\nHilsen\n"))


@given(
    st.lists(
        st.tuples(st.sampled_from(["P00", "P00", "PF0"]), st.text("a.\\\\:", max_size=12)), min_size=1, max_size=4
    ),
    st.sampled_from(["", "S12+12'\n"]),
)
def test_texts_as_they_were_written_are_read_as_their_components(parts: list[tuple[str, str]], trigger: str) -> None:
    (form, body), *others = parts
    rest = "".join(f"{trigger}FTX+NC+{form}++{body}'\n" for form, body in others)
    found = plain_text(form, body, rest, "FTX+NC+", "++", "'\n", trigger)
    whole = read_text([(form, body.split(":")) for form, body in parts])
    crowded = any(body.count(":") >= COMPONENTS for _, body in parts)
    assert found in (whole, None)
    assert found is None or not crowded
    usual = all(body.strip("\\") for _, body in parts) and not crowded and parts[-1][1][-1:] != "\\"
    assert found is not None or not usual


def test_texts_of_which_something_is_to_be_reported_are_left_to_others() -> None:
    whole = ("P00", "a", "FTX+NC+P00++b'", "FTX+NC+", "++", "'", "")
    assert plain_text(*whole) == (("P00", "a\nb\n"),)
    long = "x" * (MAX_COMPONENT + 1)
    for form, body, more in (
        ("X00", "a", "P00++b"),
        ("P00", long, "P00++b"),
        ("P00", long, "PF0++b"),
        ("P00", "a", f"P00++{long}"),
        ("P00", "a", f"PF0++{long}"),
        ("P00", "a", "XF0++b"),
        ("P00", "a", "PF0++b+c"),
        ("P00", "a", "P00+b"),
        ("P00", "a", "PF0++\\"),
        ("P00", "a:a:a:a:a:a", "P00++b"),
    ):
        assert plain_text(form, body, f"FTX+NC+{more}'", *whole[3:]) is None, more


@pytest.mark.parametrize(
    ("text", "components"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\nb", ["a", ".", "b"]),
        ("\n", ["."]),
        (".", [".\\", "."]),
        ("a\\", ["a\\\\", "."]),
        ("a\r\nb\rc", ["a", "b", "c"]),
        ("x" * 69, ["x" * 69]),
        ("x" * 70, ["x" * 69 + "\\", "x"]),
        ("x" * 69 + ".", ["x" * 69 + "\\", ".\\", "."]),
        ("ab " + "x" * 67, ["ab " + "x" * 66 + "\\", "x"]),
        ("abc " + "x" * 66, ["abc \\", "x" * 66]),
        ("x" * 68 + " y", ["x" * 68 + " \\", "y"]),
        ("x" * 60 + "  " + "y" * 10, ["x" * 60 + "  \\", "y" * 10]),
    ],
)
def test_text_is_cut_into_components(text: str, components: list[str]) -> None:
    written = write_text((("P00", text),))
    assert [c for _, part in written for c in part] == components


def test_a_segment_holds_five_components_and_one_format() -> None:
    written = write_text((("P00", "1\n2\n3\n4\n5\n6\n"), ("PF0", "7\n8")))
    assert written == [("P00", ["1", "2", "3", "4", "5"]), ("P00", ["6"]), ("PF0", ["7", "8"])]
    assert write_text((("P00", "a "), ("PF0", "b"), ("P00", " c"))) == [
        ("P00", ["a \\"]),
        ("PF0", ["b\\"]),
        ("P00", [" c"]),
    ]


def test_aligned_runs_have_lines_of_their_own() -> None:
    assert write_text((("P0H", "a"),)) == [("P0H", [".", "a"])]
    assert write_text((("P00", "a"), ("P0M", "b"), ("P00", "c"))) == [("P00", ["a"]), ("P0M", ["b"]), ("P00", ["c"])]
    assert normal_text((("F0H", "\nb"),)) == (("F0H", "\nb\n"),)


def test_unknown_formats_become_fixed_width() -> None:
    assert write_text((("XYZ", "a"),)) == [("F00", ["a"])]
    assert len(FORMATS) == 12


@given(texts())
def test_what_was_written_reads_as_its_normal_form(text: Text) -> None:
    written = write_text(text)
    assert read_text(written) == normal_text(text)
    assert write_text(read_text(written)) == written
    assert normal_text(normal_text(text)) == normal_text(text)
    for form, components in written:
        assert form in FORMATS
        assert 1 <= len(components) <= COMPONENTS
        assert all(len(c) <= MAX_COMPONENT and "\n" not in c and "\r" not in c for c in components)
        assert components[-1]


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(FORMATS)), st.lists(st.text("a.\\ ", max_size=5), max_size=5)), max_size=4
    )
)
def test_any_components_are_stable_after_one_round(parts: list[tuple[str, list[str]]]) -> None:
    written = write_text(read_text(parts))
    assert write_text(read_text(written)) == written


@given(texts())
def test_no_character_is_lost(text: Text) -> None:
    def letters(runs: Text) -> str:
        return "".join(content for _, content in runs).replace("\n", "")

    assert letters(read_text(write_text(text))) == letters(text)


@given(st.lists(st.text(st.sampled_from("ab .\\x"), max_size=160), min_size=1, max_size=5))
def test_logical_lines_come_back(lines: list[str]) -> None:
    segments = write_lines(lines)
    again = read_lines(c for segment in segments for c in segment)
    assert (again + [""] * len(lines))[: len(lines)] == lines
    assert all(len(segment) <= COMPONENTS and all(len(c) <= MAX_COMPONENT for c in segment) for segment in segments)
    assert all(segment[-1] for segment in segments if segment)
    assert all(len(segment) == COMPONENTS for segment in segments[:-1])


@pytest.mark.parametrize(
    ("text", "spelled", "number"),
    [
        ("æøå ÆØÅ é ½ µ ²", "æøå ÆØÅ é ½ µ ²", 0),
        ("a\u030a", "å", 0),
        ("’ “ ” – — … €", '\' " " - - ... EUR', 7),
        ("10⁴ 2⅓", "10[U+2074] 2[U+2153]", 2),
        ("č ł", "c l", 2),
        ("😀", "[U+1F600]", 1),
        ("\x92", "'", 1),
        ("\x81", "[U+0081]", 1),
        ("a\tb\nc\r\nd", "a b c d", 3),
        ("\x00", "[U+0000]", 1),
        ("a\u2003b", "a b", 1),
        ("≤ 5", "<= 5", 1),
    ],
)
def test_characters_are_spelled_out(text: str, spelled: str, number: int) -> None:
    assert substituted(text) == (spelled, number)


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_everything_can_be_carried_and_nothing_becomes_a_question_mark(text: str) -> None:
    spelled, _ = substituted(text)
    assert carried(spelled)
    assert spelled.count("?") == text.count("?")
    assert substituted(spelled) == (spelled, 0)

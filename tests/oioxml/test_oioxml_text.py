"""Formatted text: which runs a markup reads as, which markup runs are written as."""

from __future__ import annotations

import pytest
from hypothesis import given

from converter import oioxml
from converter.issues import IssueLog
from converter.letter import Letter, Text, plain
from converter.oioxml.text import PLAIN
from tests.oioxml.made import DEFINITIONS, emessage, read_all, read_clean, text_document, text_of, written
from tests.oioxml.strategies import TEXTS, normal

LEAF = "ClinicalInformation[1].Text01"
BASE = read_clean(emessage())


def with_text(value: Text) -> Letter:
    return Letter(BASE.type, BASE.version, "oioxml", BASE.values | {LEAF: value}, BASE.counts)


def markup_of(value: Text) -> str:
    return written(with_text(value)).decode("iso-8859-1").partition("<Text01>")[2].partition("</Text01>")[0]


BOTH_WAYS: list[tuple[str, Text]] = [
    ("", ()),
    ("a", (("P00", "a"),)),
    ("a<Break/>b<Break/><Break/>", (("P00", "a\nb\n\n"),)),
    ("<Break/>a", (("P00", "\na"),)),
    ("a  b", (("P00", "a  b"),)),
    (" a <Break/> b ", (("P00", " a \n b "),)),
    ("<Space/><Space/>", (("P00", "  "),)),
    ("a<Break/><Space/><Break/>b", (("P00", "a\n \nb"),)),
    ("<Bold>a</Bold><Space/><Italic>b</Italic>", (("PF0", "a"), ("P00", " "), ("PK0", "b"))),
    ("a <Bold>b</Bold> c", (("P00", "a "), ("PF0", "b"), ("P00", " c"))),
    ("<Underline>a<Break/></Underline>b", (("PU0", "a\n"), ("P00", "b"))),
    ("<Underline>a</Underline><Break/>b", (("PU0", "a"), ("P00", "\nb"))),
    ("<Italic>a</Italic>", (("PK0", "a"),)),
    ("a<Break/><Right>b<Break/></Right>c", (("P00", "a\n"), ("P0H", "b\n"), ("P00", "c"))),
    ("<Center>b<Break/></Center>", (("P0M", "b\n"),)),
    ("<FixedFont>Hb  7,1<Break/></FixedFont>", (("F00", "Hb  7,1\n"),)),
    ("<FixedFont><Bold>a</Bold></FixedFont>", (("FF0", "a"),)),
    ("<FixedFont><Underline>a</Underline></FixedFont>", (("FU0", "a"),)),
    ("<FixedFont><Italic>a</Italic></FixedFont>", (("FK0", "a"),)),
    ("<FixedFont><Right>a</Right></FixedFont>", (("F0H", "a"),)),
    ("<FixedFont><Center>a</Center></FixedFont>", (("F0M", "a"),)),
    ("5 &lt; 7 &amp; 8 &gt; 2", (("P00", "5 < 7 & 8 > 2"),)),
    ("&#8211;&#128512;", (("P00", "\u2013\U0001f600"),)),
]


@pytest.mark.parametrize(("markup", "runs"), BOTH_WAYS)
def test_markup_and_runs_stand_for_each_other(markup: str, runs: Text) -> None:
    assert text_of(markup) == runs
    assert markup_of(runs) == markup


ONE_WAY: list[tuple[str, Text]] = [
    ("\n  a\n  <Break/>\n  b\n", (("P00", "a\nb"),)),
    ("a\n\t b", (("P00", "a b"),)),
    ("a&#13;&#10;b&#9;c", (("P00", "a b c"),)),
    ("\n \n", ()),
    ("<Break/>\n<Break/>", (("P00", "\n\n"),)),
    ("a<Space/>b", (("P00", "a b"),)),
    ("a\n<Space/>", (("P00", "a  "),)),
    ("<Bold>a</Bold>\n  <Italic>b</Italic>", (("PF0", "a"), ("P00", " "), ("PK0", "b"))),
    ("<Bold>\n a \n</Bold>\n", (("PF0", "a"),)),
    ("x <Bold>\n a</Bold>", (("P00", "x "), ("PF0", " a"))),
    ("<Bold>a</Bold><Bold>b</Bold>", (("PF0", "ab"),)),
    ("<Bold/>a<Italic></Italic>b", (("P00", "ab"),)),
    ("<FixedFont>a<Bold>b</Bold>c</FixedFont>", (("F00", "a"), ("FF0", "b"), ("F00", "c"))),
    # Blocks stand on lines of their own, whether or not a Break says so.
    ("a<Right>b</Right>c", (("P00", "a\n"), ("P0H", "b\n"), ("P00", "c"))),
    ("a\n<Right>\nb\n</Right>\nc", (("P00", "a\n"), ("P0H", "b\n"), ("P00", "c"))),
    ("<Right>a</Right><Center>b</Center>", (("P0H", "a\n"), ("P0M", "b"))),
    ("<Right>a</Right><Right>b</Right>", (("P0H", "a\nb"),)),
    ("<Right>a</Right><Break/>c", (("P0H", "a"), ("P00", "\nc"))),
    ("a<Center><Break/>b<Break/></Center>", (("P00", "a"), ("P0M", "\nb\n"))),
    ("a<Right/>b", (("P00", "a\nb"),)),
    ("a<FixedFont><Right>b</Right></FixedFont>c", (("P00", "a\n"), ("F0H", "b\n"), ("P00", "c"))),
    ("<Bold>a</Bold><Right>b</Right>", (("PF0", "a\n"), ("P0H", "b"))),
    ("420<![CDATA[ <mg>]]>", (("P00", "420 <mg>"),)),
]


@pytest.mark.parametrize(("markup", "runs"), ONE_WAY)
def test_markup_that_is_read_and_written_in_another_way(markup: str, runs: Text) -> None:
    assert text_of(markup) == runs
    assert text_of(markup_of(runs)) == runs


def test_words_of_a_block_do_not_run_into_the_line_before() -> None:
    assert plain(text_of("Dosis 5<Right>0 mg</Right>")) == "Dosis 5\n0 mg"


@pytest.mark.parametrize(
    ("markup", "runs", "codes"),
    [
        ("4<!-- 2 -->2<?p q?>0<![CDATA[ <mg>]]>", (("P00", "420 <mg>"),), ["XML013"]),
        ("<Bold><Italic>a</Italic></Bold>b", (("PF0", "a"), ("P00", "b")), ["XML036"]),
        ("<Right><FixedFont>a</FixedFont></Right>", (("P0H", "a"),), ["XML036"]),
        ("<FixedFont><FixedFont>a</FixedFont></FixedFont>", (("F00", "a"),), ["XML036"]),
        ("<p>a</p><p>b</p>", (("P00", "ab"),), ["XML036", "XML036"]),
        ("<Break>a</Break>b", (("P00", "\nab"),), ["XML036"]),
        ("<Space>a</Space>b", (("P00", " ab"),), ["XML036"]),
        ("a<Space><Bold>b</Bold></Space>", (("P00", "a "), ("PF0", "b")), ["XML036"]),
        ('<Bold xmlns="urn:andet">a</Bold>', (("P00", "a"),), ["XML036"]),
        ("&lt;Bold&gt;a&lt;/Bold&gt;&lt;Break/&gt;", (("P00", "<Bold>a</Bold><Break/>"),), ["XML037"]),
        ("<Bold>&lt;Break /&gt;</Bold>&lt;Space/&gt;", (("PF0", "<Break />"), ("P00", "<Space/>")), ["XML037"]),
        ("&lt;Teste&gt; 3 &lt; 4 &lt;Boldog&gt;", (("P00", "<Teste> 3 < 4 <Boldog>"),), []),
    ],
)
def test_markup_that_is_not_allowed_loses_no_text(markup: str, runs: Text, codes: list[str]) -> None:
    letters, log = read_all(text_document(markup))
    assert letters[0].values[LEAF] == runs
    assert [issue.code for issue in log] == codes
    assert letters[0].extras == []


def test_a_megabyte_of_blanks_takes_linear_time() -> None:
    import time

    start = time.perf_counter()
    letters, _ = read_all(text_document("a" + " " * 2_000_000 + "b\nc"))
    assert time.perf_counter() - start < 2
    assert len(letters[0].text(LEAF) or "") == 2_000_004


# --- writing what XML cannot say ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "markup", "codes"),
    [
        ((("P00", "a\x00b\x0c\ufffe"),), "a&#65533;b&#65533;&#65533;", ["XML060"]),
        ((("P00", "a\ud800b"),), "a&#65533;b", ["XML060"]),
        ((("P00", "a\tb"),), "a b", ["XML061"]),
        ((("P00", "a\r\nb\rc"),), "a<Break/>b<Break/>c", ["XML061"]),
        ((("Q77", "a"),), "<FixedFont>a</FixedFont>", ["XML062"]),
        ((("P00", "a\x85\x7fb"),), "a&#133;&#127;b", []),
        ((("P00", "a\u00a0b"),), "a\u00a0b", []),
    ],
)
def test_what_cannot_be_carried_is_reported(runs: Text, markup: str, codes: list[str]) -> None:
    log = IssueLog()
    data = oioxml.write([with_text(runs)], DEFINITIONS, log)
    assert data is not None
    assert f"<Text01>{markup}</Text01>" in data.decode("iso-8859-1")
    assert [issue.code for issue in log] == codes
    assert {issue.at.path for issue in log} <= {LEAF}
    read_clean(data)


# --- laws -----------------------------------------------------------------------------------------------------------


@given(TEXTS)
def test_any_text_comes_back(value: Text) -> None:
    log = IssueLog()
    data = oioxml.write([with_text(value)], DEFINITIONS, log)
    assert data is not None
    letters, findings = read_all(data)
    assert letters[0].values[LEAF] == value
    assert {issue.code for issue in (*log, *findings)} <= {"XML037"}


@given(TEXTS)
def test_writing_what_was_read_gives_the_same_bytes(value: Text) -> None:
    once = oioxml.write([with_text(value)], DEFINITIONS, IssueLog())
    assert once is not None
    assert oioxml.write(read_all(once)[0], DEFINITIONS, IssueLog()) == once


def test_the_law_can_fail() -> None:
    """Negative control: a tab is not in normal form and does not come back."""
    data = oioxml.write([with_text((("P00", "a\tb"),))], DEFINITIONS, IssueLog())
    assert data is not None
    assert read_all(data)[0][0].values[LEAF] != (("P00", "a\tb"),)
    assert normal([("P00", "a"), ("P0H", "b")]) != (("P00", "a"), ("P0H", "b"))
    assert PLAIN == "P00"

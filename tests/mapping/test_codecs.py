"""The laws of the codecs, as their registration states them; a codec without a generator here fails the suite."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from converter.edifact.text import FORMATS as FORMAT_CODES
from converter.edifact.text import normal_text
from converter.fhir.rules.narrative import check_narrative
from converter.letter import Text, plain
from converter.mapping.codecs import CODECS, Codec, codec

LINE = st.text(alphabet=st.characters(codec="latin-1", exclude_categories=["C"]), min_size=1, max_size=40)
WORDS = LINE.map(lambda t: " ".join(t.split())).filter(bool)
HEX32 = st.text("0123456789abcdef", min_size=32, max_size=32)
ECPR = st.sampled_from(["0203291WQ3", "1308781OS6", "3101057JC9", "0703921VJ4"])
LOCAL_ECPR = st.sampled_from(["1206550VK9", "0706830VJ9"])
FORMATS = st.sampled_from(["P00", "PF0", "PU0", "PK0", "P0H", "P0M", "F00", "FF0"])
LINES = st.lists(LINE | st.just(""), min_size=1, max_size=5).map("\n".join)
KNOWN = {"0101": {}, "0740": {}, "0851": {}}


@st.composite
def texts(draw: st.DrawFn) -> Text:
    """Formatted text in the normal form of letters: neighbouring runs differ in format."""
    runs: list[tuple[str, str]] = []
    for code, text in draw(st.lists(st.tuples(FORMATS, LINES), max_size=4)):
        if text and not (runs and runs[-1][0] == code):
            runs.append((code, text))
    return tuple(runs)


ALL_FORMATS = sorted(FORMAT_CODES)
ANY_LINE = st.text(
    alphabet=st.characters(codec="latin-1", exclude_categories=["Cc"]) | st.sampled_from(" <>&\"'"), max_size=30
)
ALL_TEXTS = st.lists(
    st.tuples(st.sampled_from(ALL_FORMATS), st.lists(ANY_LINE, min_size=1, max_size=4).map("\n".join)), max_size=5
).map(normal_text)
CODE_PART = st.text("DABC123", min_size=1, max_size=6) | st.sampled_from(["", "A+B"])
DATES = st.dates(min_value=date(1990, 1, 1), max_value=date(2089, 12, 31))
TIMES = st.times().map(lambda t: t.strftime("%H:%M"))

KNOWN_MARKS = {"syntaksfejl": {}, "ikke_specificeret": {}}
MARKS = st.sampled_from([*KNOWN_MARKS, "ukendt"])
BRACKETED = st.sampled_from([(("P00", "[syntaksfejl] x\n"),), (("P00", "[syntaksfejl]\n"),), (("P00", "VANS: x\n"),)])

INPUTS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "copy": (st.tuples(LINE), ()),
    "cut": (st.tuples(st.text("abc", min_size=1, max_size=35)), ("35",)),
    "local_time": (st.tuples(DATES.map(str), TIMES), ()),
    "local_seconds": (st.tuples(DATES.map(str), st.times().map(lambda t: t.strftime("%H:%M:%S"))), ()),
    "instant": (st.tuples(LINE), ()),
    "letter_sized": (st.tuples(st.text("abc-1", min_size=1, max_size=14)), ("14",)),
    "marked": (st.tuples(st.none() | MARKS, st.none() | texts() | BRACKETED), (KNOWN_MARKS, "VANS: ")),
    "prefix": (st.tuples(WORDS), ("https://sor2.sum.dsdn.dk/#id=",)),
    "plain_text": (st.tuples(texts()), ()),
    "xhtml": (st.tuples(ALL_TEXTS), ()),
    "formatted": (st.tuples(ALL_TEXTS), ()),
    "plus_joined": (st.tuples(CODE_PART, st.lists(CODE_PART, max_size=4)), ()),
    "matching": (st.tuples(WORDS | st.just("0123456789")), ("[0-9]{10}",)),
    "not_matching": (st.tuples(WORDS | st.just("0123456789")), ("[0-9]{10}",)),
    "respelt": (st.tuples(WORDS | st.sampled_from(["patologi ", "patologi"])), ("patologi ", "patologi")),
    "letter_id": (st.tuples(WORDS), ()),
    "same_as": (st.just(("5790000120314",)), ("5790000120314",)),
    "other_than": (st.tuples(WORDS), ("5790000120314",)),
    "not_in": (st.tuples(WORDS | st.just("999")), (KNOWN,)),
    "only": (st.tuples(ECPR), ("xecpr",)),
    "municipality": (st.sampled_from([("101",), ("0101",), ("740",), ("999",), ("x",)]), (KNOWN,)),
    "joined_names": (st.tuples(WORDS), ("70",)),
    "joined_parts": (st.tuples(WORDS, st.none() | WORDS, st.none() | WORDS), ("35",)),
    "split_name": (st.tuples(WORDS, st.none() | WORDS, st.none() | WORDS), ("35",)),
    "hyphens": (st.tuples(HEX32 | WORDS | HEX32.map(str.upper)), ()),
    "object_id": (st.tuples(HEX32 | HEX32.map(str.upper) | WORDS), ()),
    "file_content": (st.tuples(st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode())), ()),
    "number": (st.tuples(st.integers(min_value=0, max_value=10**9).map(str) | WORDS), ()),
}


def call(function: Callable[..., Any], lossy: bool, *arguments: Any) -> tuple[Any, bool]:
    """A codec's function as (value, lost), whatever it returns."""
    result = function(*arguments)
    return result if lossy else (result, False)


def breaks_its_law(one: Codec, values: tuple[Any, ...], arguments: tuple[Any, ...]) -> bool:
    """Whether values that are carried without a declared loss do not come back."""
    assert one.there is not None
    assert one.back is not None
    there, lost = call(one.there, one.lossy_there, *values, *arguments)
    if there is None or lost:
        return False
    assert one.back is not None
    hint = (values[0],) if one.name == "joined_parts" else ()
    back, _ = call(one.back, one.lossy_back, there, *arguments, *hint)
    return (back if one.sources > 1 else (back,)) != values


@pytest.mark.parametrize("name", [n for n, c in CODECS.items() if c.law != "oneway"])
def test_codec_keeps_its_law(name: str) -> None:
    values, arguments = INPUTS[name]

    @given(values)
    def law(given_values: tuple[Any, ...]) -> None:
        assert not breaks_its_law(CODECS[name], given_values, arguments)

    law()


def test_a_codec_that_breaks_its_law_is_caught() -> None:
    """Negative control: the check must see a codec that drops blanks and says nothing."""
    before = dict(CODECS)
    try:

        @codec("drops", "iso")
        class Drops:
            there = staticmethod(lambda value: value.replace(" ", ""))
            back = staticmethod(lambda value: value)

        assert breaks_its_law(CODECS["drops"], ("a b",), ())
        assert not breaks_its_law(CODECS["drops"], ("ab",), ())
    finally:
        CODECS.clear()
        CODECS.update(before)


@given(texts())
def test_plain_text_is_a_string_that_fhir_accepts(value: Text) -> None:
    text, _ = CODECS["plain_text"].there(value)  # type: ignore[misc]
    assert text is None or (text == text.strip(" \n") and text)
    if text is None:
        assert not plain(value).strip(" \n")


class Found:
    """What the validator says about one value."""

    def __init__(self) -> None:
        self.kinds: list[Any] = []
        self.current = SimpleNamespace(claim="")  # no entry of a plain Bundle, whose narratives are judged before

    def add(self, kind: Any, *_: Any, **__: Any) -> None:
        self.kinds.append(kind)


def xhtml(value: Text) -> str:
    text, lost = CODECS["xhtml"].there(value)  # type: ignore[misc]
    assert not lost
    return str(text)


@given(ALL_TEXTS)
def test_xhtml_is_a_narrative_that_fhir_accepts(value: Text) -> None:
    text, lost = CODECS["xhtml"].there(value)  # type: ignore[misc]
    assert not lost
    assert (text is None) == (not plain(value).split())
    if text is None:
        return
    run = Found()
    check_narrative(text, "/text/div", run, None)  # type: ignore[arg-type]
    assert run.kinds == []
    shown = "".join(etree.fromstring(text.replace("<br/>", "\n")).itertext())
    assert shown == plain(value)


def test_xhtml_of_all_formats() -> None:
    value = tuple((code, "a\n") for code in ALL_FORMATS)
    text = xhtml(value)
    assert text.count("<br/>") == 12
    assert CODECS["xhtml"].back(text) == (value, False)  # type: ignore[misc]
    assert xhtml((("P00", " a  b \n\n"),)) == (
        '<div xmlns="http://www.w3.org/1999/xhtml" style="white-space: pre-wrap"> a  b <br/><br/></div>'
    )


@pytest.mark.parametrize(
    ("div", "expected"),
    [
        ('<div xmlns="http://www.w3.org/1999/xhtml"><p>A  &amp;\n B</p><p>C</p></div>', "A & B\nC\n"),
        ("<div><ul><li>x</li><li>y</li></ul></div>", "x\ny\n"),
        ("<div>a<br />b<!-- <p>no</p> --><b>c</b></div>", "a\nbc\n"),
        ('<div xmlns="http://www.w3.org/1999/xhtml" style="white-space: pre-wrap">a<em>b</em></div>', "ab\n"),
    ],
)
def test_other_xhtml_becomes_plain_text(div: str, expected: str) -> None:
    assert CODECS["xhtml"].back(div) == ((("P00", expected),), True)  # type: ignore[misc]


def test_xhtml_without_characters_is_no_text() -> None:
    assert CODECS["xhtml"].back("<div><p> </p></div>") == (None, True)  # type: ignore[misc]
    assert CODECS["xhtml"].there((("P00", "a\x01\n"),))[1]  # type: ignore[misc]


@pytest.mark.parametrize("value", ["1206550VK9", "0706830VJ9"])
def test_decentral_numbers_are_no_national_ones(value: str) -> None:
    there = CODECS["only"].there
    assert there is not None
    assert there(value, "xecpr") is None
    assert there(value, "decpr") == value
    assert there(value, "neither") is None
    assert there(value.lower(), "neither") == value.lower()


@given(st.binary(max_size=200))
def test_size_is_that_of_the_decoded_bytes(data: bytes) -> None:
    back = CODECS["decoded_size"].back
    assert back is not None
    assert back(base64.b64encode(data).decode()) == str(len(data))
    assert back("not base64!") is None


def test_names_split_where_every_part_fits() -> None:
    back = CODECS["joined_parts"].back
    assert back is not None
    department, unit = "Afdelingen for hjertesygdomme", "Ambulatorium nord for opfølgning"
    joined = f"Hospitalet {department} {unit}"
    (first, second, third), lost = back(joined, "35", "Hospitalet")
    assert not lost
    assert max(len(second), len(third)) <= 35
    assert f"{first} {second} {third}" == joined

"""The laws of the codecs, as their registration states them; a codec without a generator here fails the suite."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


DATES = st.dates(min_value=date(1990, 1, 1), max_value=date(2089, 12, 31))
TIMES = st.times().map(lambda t: t.strftime("%H:%M"))

INPUTS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "copy": (st.tuples(LINE), ()),
    "cut": (st.tuples(st.text("abc", min_size=1, max_size=35)), ("35",)),
    "local_time": (st.tuples(DATES.map(str), TIMES), ()),
    "prefix": (st.tuples(WORDS), ("https://sor2.sum.dsdn.dk/#id=",)),
    "plain_text": (st.tuples(texts()), ()),
    "same_as": (st.just(("5790000120314",)), ("5790000120314",)),
    "other_than": (st.tuples(WORDS), ("5790000120314",)),
    "not_in": (st.tuples(WORDS | st.just("999")), (KNOWN,)),
    "only": (st.tuples(ECPR), ("xecpr",)),
    "municipality": (st.sampled_from([("101",), ("0101",), ("740",), ("999",), ("x",)]), (KNOWN,)),
    "joined_names": (st.tuples(WORDS), ("70",)),
    "joined_parts": (st.tuples(WORDS, st.none() | WORDS, st.none() | WORDS), ("35",)),
    "hyphens": (st.tuples(HEX32 | WORDS | HEX32.map(str.upper)), ()),
    "object_id": (st.tuples(HEX32 | HEX32.map(str.upper) | WORDS), ()),
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
    there, lost = call(one.there, one.lossy == "both", *values, *arguments)
    if there is None or lost:
        return False
    hint = (values[0],) if one.name == "joined_parts" else ()
    back, _ = call(one.back, bool(one.lossy), there, *arguments, *hint)
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

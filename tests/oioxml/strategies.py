"""Made texts and letters in the reader's normal form, from the element tree of a definition."""

from __future__ import annotations

from hypothesis import strategies as st

from converter.definitions import Definition, Element
from converter.letter import Letter, Text, Value, counts_of

CODES = ["P00", "PF0", "PU0", "PK0", "P0H", "P0M", "F00", "FF0", "FU0", "FK0", "F0H", "F0M"]
_PLAIN = st.characters(blacklist_categories=["Cs"], blacklist_characters=["\ufffe", "\uffff"]).filter(
    lambda c: c >= " "
)
PLAIN_VALUES = st.one_of(st.text(st.sampled_from("aæØ <&>'\"=é;"), max_size=8), st.text(_PLAIN, max_size=12))
_CHUNK = st.text(st.one_of(st.sampled_from("ab \n<&>æØ."), _PLAIN), min_size=1, max_size=12)


def normal(chunks: list[tuple[str, str]]) -> Text:
    """Runs of one format joined, and line breaks at the borders of blocks."""
    runs: list[tuple[str, str]] = []
    for code, text in chunks:
        previous = runs[-1][0] if runs else ""
        border = previous and previous != code and (previous[2] != "0" or code[2] != "0")
        if border and not runs[-1][1].endswith("\n") and not text.startswith("\n"):
            runs[-1] = (previous, runs[-1][1] + "\n")
        if previous == code:
            runs[-1] = (code, runs[-1][1] + text)
        else:
            runs.append((code, text))
    return tuple(runs)


TEXTS = st.lists(st.tuples(st.sampled_from(CODES), _CHUNK), max_size=6).map(normal)


@st.composite
def letters(draw: st.DrawFn, definition: Definition) -> Letter:
    """Any letter that the definition's tree allows, with any values."""
    values: dict[str, Value] = {}
    for element in definition.elements:
        _fill(draw, element, "", values)
    return Letter(definition.type, definition.version, "oioxml", values, counts_of(values))


def _fill(draw: st.DrawFn, element: Element, base: str, values: dict[str, Value]) -> None:
    most = min(element.max or 3, 3)
    number = draw(st.integers(min(element.min, most), most))
    for index in range(1, number + 1):
        leaf = f"{base}{element.name}[{index}]" if element.repeats else f"{base}{element.name}"
        if element.is_leaf:
            values[leaf] = _value(draw, element)
            continue
        before = len(values)
        chosen = {choice.label: draw(st.sampled_from(choice.names)) for choice in element.choices}
        for child in element.children:
            if not child.choice or chosen[child.choice] == child.name:
                _fill(draw, child, leaf + ".", values)
        if len(values) == before:
            return  # an empty group is no group, and leaves no gap


def _value(draw: st.DrawFn, element: Element) -> Value:
    if element.const is not None:
        return element.const
    if element.type == "text":
        return draw(TEXTS)
    return "".join(draw(PLAIN_VALUES).split()) if element.type == "base64" else draw(PLAIN_VALUES)

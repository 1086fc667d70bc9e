"""Tests that tell of a value of a letter whether it is beyond doubt, and of all values of a letter together."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from operator import contains, itemgetter

from converter.definitions.tree import Element
from converter.kept import Kept, Values
from converter.letter import Value

_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
TIMES = {
    "time": (re.compile(r"([01]\d|2[0-3]):[0-5]\d\Z", re.ASCII), "17:45"),
    "seconds": (re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d\Z", re.ASCII), "17:45:00"),
}
SIZE = re.compile(r"\+?0*[1-9]\d*\Z", re.ASCII)
_PLAIN = frozenset(["P00"])
FORMATS = frozenset(font + style + place for font in "PF" for style in "0FUK" for place in "0HM")

MAX_TOGETHER = 64
"""Codes of whole letters that are remembered for one shape: systems write few again and again."""

_BIT = 128
"""The highest bit of a byte: texts that may be so long are tested one by one."""

Test = tuple[int, int, Callable[[Value], bool] | None]
"""Whether a value is beyond doubt: a text of so many characters at least and at most, or what the function says.

If it is not, `converter.definitions.check` says what is wrong with it."""

_Getter = Callable[[Mapping[str, Value]], tuple[Value, ...]]


@Kept
def is_day(text: Value) -> bool:
    """Whether the value is a day that exists, as `2023-11-20`."""
    if not isinstance(text, str) or not _DATE.match(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _time_test(form: re.Pattern[str]) -> Kept:
    """Whether a value is a time of that form."""
    return Kept(lambda value: isinstance(value, str) and form.match(value) is not None)


_is_time = {name: _time_test(form) for name, (form, _) in TIMES.items()}


def _text_test(formats: frozenset[str]) -> Callable[[Value], bool]:
    """Whether a value is formatted text in these formats."""

    def test(value: Value) -> bool:
        if type(value) is not tuple:
            return False
        for form, _ in value:
            if form not in formats:
                break
        else:
            return True
        return False

    return test


@dataclass(slots=True, eq=False)  # one object a shape
class Shape:
    """The tests of the values of one shape, as few calls for all leaves together: a loop costs twice as much.

    `texts` gets the values that only need so many characters; `least` and `most` are the fewest and most of each, as
    the bytes of one number with the highest bits of all set (`bits`), so that one subtraction compares all of them.
    `coded` gets those of which each must be in its own of `lists`; they are `known` if they were all together before.
    `kept` are days and times, each with those that were seen (if it is not there, it is looked at again).
    """

    texts: _Getter
    least: int
    most: int
    bits: int
    coded: _Getter
    lists: tuple[Container[Value], ...]
    known: Values
    kept: tuple[tuple[str, Container[Value]], ...]
    others: tuple[tuple[str, Callable[[Value], bool]], ...]

    @classmethod
    def of(cls, shape: Sequence[str], tests: Sequence[Test]) -> Shape:
        """Sort the leaves by their tests."""
        texts: dict[str, tuple[int, int]] = {}
        coded: dict[str, Container[Value]] = {}
        kept: list[tuple[str, Container[Value]]] = []
        others: list[tuple[str, Callable[[Value], bool]]] = []
        for leaf, (low, high, test) in zip(shape, tests, strict=True):
            among = getattr(test, "__self__", None)
            if isinstance(test, Kept):
                kept.append((leaf, test.known))
            elif isinstance(among, frozenset):
                coded[leaf] = among
            elif test is not None:
                others.append((leaf, test))
            elif high < _BIT:
                texts[leaf] = low, high
            else:
                others.append((leaf, partial(_is_long, low, high)))
        bits = int.from_bytes([_BIT] * len(texts))
        least, most = (
            int.from_bytes(limits) for limits in ([x for x, _ in texts.values()], [x for _, x in texts.values()])
        )
        lists, remembered = tuple(coded.values()), Values()
        return cls(
            _getter([*texts]),
            least,
            most | bits,
            bits,
            _getter([*coded]),
            lists,
            remembered,
            tuple(kept),
            tuple(others),
        )

    def is_fine(self, values: Mapping[str, Value]) -> bool:
        """Whether all values of a letter of this shape are beyond doubt."""
        texts, bits = self.texts(values), self.bits
        try:
            "".join(texts)  # type: ignore[arg-type]
            lengths = int.from_bytes(bytes(map(len, texts)))
        except (TypeError, ValueError):  # one is formatted text, or longer than a byte can say
            return False
        if lengths & bits or (self.most - lengths) & ((lengths | bits) - self.least) & bits != bits:
            return False
        coded = self.coded(values)
        if coded not in self.known:
            if not all(map(contains, self.lists, coded)):
                return False
            self.known.keep(coded, MAX_TOGETHER)
        for leaf, known in self.kept:
            if values[leaf] not in known:
                return False
        for leaf, test in self.others:
            if not test(values[leaf]):
                break
        else:
            return True
        return False


def test_of(element: Element) -> Test:
    """The test of the values of a leaf."""
    low, high = element.length
    if element.const is not None:
        return 0, 0, frozenset([element.const]).__contains__
    if element.type == "text":
        formats = _PLAIN if element.check == "plain" else FORMATS
        return 0, 0, _text_test(formats)
    if element.pattern:
        matches = re.compile(element.pattern).fullmatch
        return 0, 0, lambda value: type(value) is str and matches(value) is not None
    if element.type in TIMES:
        return 0, 0, _is_time[element.type]
    if element.codes is not None:
        return 0, 0, frozenset(element.codes.values).__contains__
    if element.type == "an":
        return low, high, None
    if element.type == "date":
        return 0, 0, is_day
    if element.type == "size":
        return 0, 0, lambda value: type(value) is str and SIZE.match(value) is not None
    return 0, 0, lambda value: type(value) is str


NO_LEAF: Test = (0, 0, lambda _: False)


def _getter(leaves: list[str]) -> _Getter:
    """What gets these values, as a tuple."""
    if len(leaves) > 1:
        return itemgetter(*leaves)
    return lambda values: tuple([values[leaf] for leaf in leaves])


def _is_long(low: int, high: int, value: Value) -> bool:
    return type(value) is str and low <= len(value) <= high

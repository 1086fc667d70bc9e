"""Letters that are valid by a definition, made from its element tree, and the normal form that EDIFACT gives them."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, partial
from uuid import UUID

from hypothesis import strategies as st

from converter.definitions import Definition, Element
from converter.definitions.layout import Piece, Repeat, SegmentTemplate, templates
from converter.edifact.text import FORMATS, normal_text
from converter.identifiers import cpr_modulus11
from converter.letter import Letter, Text, Value, counts_of

ValueOf = Callable[[Element], st.SearchStrategy[Value]]
"""The values that an element may have."""

NUMBERS = ["0201609995", "0201609996", "0504909995", "0504909989", "0201919990", "0201919996", "2509479989"]
REPLACEMENTS = ["0203291WQ3", "1308781OS6", "3101057JC9", "0703921VJ4", "1206550VK9", "0706830VJ9"]
GLNS = ["5790000120314", "5790000121526", "5790001382445", "5790001348120"]
WORDS = [
    "Sønderup",
    "Lægehuset",
    "Birkedal",
    "Åben + lukket",
    "Pil: 2'",
    "Hvad?",
    ".",
    "a\\",
    "_",
    "Ørsted-Møller",
    "7 B",
]

_LATIN = st.characters(min_codepoint=0x20, max_codepoint=0xFF, blacklist_categories=["Cc"])
_ANY = st.characters(blacklist_categories=["Cs", "Cc"])


def made_cpr(day: date, serial: int) -> str:
    """A number for a birthday whose serial, 9989 to 9999, has a wrong check digit: nobody can have it."""
    number = f"{day:%d%m%y}{serial}"
    return number if not cpr_modulus11(number) else made_cpr(day, 9989 + (serial - 9988) % 11)


CPRS = st.one_of(
    st.sampled_from(NUMBERS),
    st.builds(made_cpr, st.dates(date(1930, 1, 1), date(2020, 12, 31)), st.integers(9989, 9999)),
)
DAYS = st.dates(date(1990, 1, 1), date(2089, 12, 31)).map(lambda d: d.isoformat())
TIMES = st.times().map(lambda t: f"{t:%H:%M}")


def words(low: int, high: int, *, wide: bool = False) -> st.SearchStrategy[str]:
    """Plain values of that length: invented names, separators, and any characters of the set (`wide`: of Unicode)."""
    characters = _ANY if wide else _LATIN
    some = st.text(characters, min_size=max(low, 1), max_size=min(high, max(low, 40)))
    long = st.text(st.sampled_from("abc ."), min_size=high, max_size=high)
    named = st.sampled_from([w for w in WORDS if low <= len(w) <= high] or ["x" * low])
    return st.one_of(named, some, long)


@st.composite
def texts(draw: st.DrawFn, *, wide: bool = False, formats: Sequence[str] = tuple(sorted(FORMATS))) -> Text:
    """Formatted texts of at most three runs: short enough for one segment group."""
    line = st.one_of(
        st.sampled_from(["", ".", "\\", "a\\", " ", "Kære kollega,", "Svar ønskes: ja/nej?", "x" * 69, "x" * 70]),
        st.text(st.sampled_from("ab .\\"), max_size=90),
        st.text(_ANY if wide else _LATIN, max_size=30),
    )
    runs = []
    for _ in range(draw(st.integers(0, 3))):
        lines = draw(st.lists(line, min_size=1, max_size=4))
        runs.append((draw(st.sampled_from(formats)), "\n".join(lines)))
    return tuple(run for run in runs if run[1])


def letters(definition: Definition, *, wide: bool = False) -> st.SearchStrategy[Letter]:
    """Letters that the definition allows. `wide`: with characters that EDIFACT cannot carry."""
    return _letters(definition, wide)


@st.composite
def _letters(draw: st.DrawFn, definition: Definition, wide: bool) -> Letter:
    values: dict[str, Value] = {}
    _children(draw, definition.tree, "", values, partial(_value, wide=wide, wired=definition.edifact))
    return Letter(definition.type, definition.version, "oioxml", values, counts_of(values))


def _fill(draw: st.DrawFn, element: Element, base: str, values: dict[str, Value], value_of: ValueOf) -> None:
    most = min(2 if element.max is None else element.max, 2)
    number = 1 if element.choice else draw(st.integers(min(element.min, most), most))
    index = 0
    for _ in range(number):
        leaf = f"{base}{element.name}[{index + 1}]" if element.repeats else f"{base}{element.name}"
        before = len(values)
        if element.is_leaf:
            values[leaf] = draw(value_of(element))
        else:
            _children(draw, element, f"{leaf}.", values, value_of)
            _sized(element, f"{leaf}.", values)
        index += len(values) > before


def _children(draw: st.DrawFn, element: Element, base: str, values: dict[str, Value], value_of: ValueOf) -> None:
    chosen = {choice.label: draw(st.sampled_from(choice.names)) for choice in element.choices}
    alternatives = {name for choice in element.choices for name in choice.names}
    last = ""  # the alternative that a child without a choice of its own may stand beside
    for child in element.children:
        last = child.name if child.name in alternatives else last
        if not child.choice or chosen[child.choice] == (child.name if child.name in alternatives else last):
            _fill(draw, child, base, values, value_of)


def _sized(element: Element, base: str, values: dict[str, Value]) -> None:
    """Make the size that stands beside an object the object's."""
    for content in (c for c in element.children if c.type == "base64"):
        for size in (c for c in element.children if c.type == "size"):
            values[base + size.name] = str(len(b64decode(str(values[base + content.name]))))


def _value(element: Element, *, wide: bool, wired: bool) -> st.SearchStrategy[Value]:
    if element.const is not None:
        return st.just(element.const)
    if element.codes is not None:  # values without a code have no form on the wire
        rows = element.codes.rows.items()
        return st.sampled_from([v for v, row in rows if row or not wired])
    if element.type == "text":
        return texts(wide=wide, formats=["P00"] if element.check == "plain" else sorted(FORMATS))
    if element.type == "date":
        return DAYS
    if element.type in ("time", "seconds"):
        return TIMES if element.type == "time" else st.times().map(lambda t: f"{t:%H:%M:%S}")
    if element.type == "size":
        return st.integers(1, 10**9).map(str)
    if element.type == "base64":
        return st.sampled_from(["QUJD", "AA==", "VU5QKzErMSdVTlorMStYJw=="])  # the last looks like segments
    if element.name == "EANIdentifier":
        return st.sampled_from(GLNS)
    if element.pattern:
        if re.fullmatch(element.pattern, str(UUID(int=0))):
            return st.uuids().map(str)
        if re.fullmatch(element.pattern, "2001"):
            return st.integers(1000, 2999).map(str)
        return CPRS.filter(lambda v: re.fullmatch(element.pattern, v) is not None)
    low, high = element.length
    if (low, high) == (10, 10):
        return st.sampled_from(REPLACEMENTS)
    found = words(low, high, wide=wide)
    return found.filter(re.compile(r"\w").search) if element.name == "Identifier" else found  # blanks are no reference


# -- the normal form


@dataclass
class _Normal:
    """Builds what comes back when a letter is written as EDIFACT and read."""

    definition: Definition
    values: dict[str, Value]
    result: dict[str, Value] = field(default_factory=dict)

    @cached_property
    def _reads_as_absent(self) -> dict[str, str]:
        pieces = (piece for template, _ in templates(self.definition.layout) for piece in template.pieces())
        return {piece.path: piece.filler for piece in pieces if piece.filler_reads}

    @cached_property
    def _wired(self) -> set[str]:
        wired: set[str] = set()
        for template, _ in templates(self.definition.layout):
            wired.update(p.path for p in template.pieces() if p.own)
            wired.update(path for path, _ in template.fills)
        for alias in self.definition.aliases:
            wired.update(leaf for leaf, _ in (*alias.set, *((new, "") for _, new in alias.move)))
        return wired

    def _has_place(self, element: Element, leaf: str) -> bool:
        """A template may have a place for one of several only, which its path then names."""
        return bool({element.path, re.sub(r"\[\d+\](?=\.)", "", leaf)} & self._wired)

    def of(self) -> dict[str, Value]:
        for element in self.definition.elements:
            self._copy(element, "", "")
        self._settle()
        return self.result

    def _copy(self, element: Element, old: str, new: str) -> bool:
        """Copy an element, leave out what is empty, number repetitions anew; whether there was anything."""
        if not element.repeats:
            return self._one(element, old + element.name, new + element.name)
        start = f"{old}{element.name}["
        indices = sorted({int(k[len(start) :].split("]")[0]) for k in self.values if k.startswith(start)})
        number = 0
        for index in indices:
            name = f"{element.name}[{number + 1}]"
            number += self._one(element, f"{old}{element.name}[{index}]", new + name)
        return number > 0

    def _one(self, element: Element, old: str, new: str) -> bool:
        if not element.is_leaf:
            before = len(self.result)
            for child in element.children:
                self._copy(child, f"{old}.", f"{new}.")
            return len(self.result) > before
        value = self.values.get(old)
        if value is None or value == "":
            return False
        if value == self._reads_as_absent.get(element.path):
            return False
        if element.const is None and not self._has_place(element, new):
            return False
        self.result[new] = normal_text(value) if isinstance(value, tuple) else value
        return True

    def _occurrences(self, path: str) -> list[str]:
        """The leaf id prefixes of an element that the result has, by its pattern path; one empty one for none."""
        if not path:
            return [""]
        steps, shape = "", []
        for name in path.split("."):
            steps = f"{steps}.{name}" if steps else name
            shape.append(name + (r"\[\d+\]" if self.definition.repeats(steps) else ""))
        found = re.compile(r"\.".join(shape) + r"\.")
        return list(dict.fromkeys(m[0] for leaf in self.result if (m := found.match(leaf))))

    def _settle(self) -> None:
        """What the layout writes for an absent value, and what reads as absent."""
        for template, around in templates(self.definition.layout):
            loops = [i.path if isinstance(i, Repeat) else i.each for i in around if not isinstance(i, SegmentTemplate)]
            loop = next((path for path in reversed(loops) if path), "")
            for prefix in self._occurrences(loop):
                self._template(template, loop, prefix)

    def _template(self, template: SegmentTemplate, loop: str, prefix: str) -> None:
        def leaf(path: str) -> str:
            return prefix + path[len(loop) + 1 :] if loop and path.startswith(f"{loop}.") else path

        own = [p for p in template.pieces() if p.own]
        if not template.required and not any(leaf(p.path) in self.result for p in own):
            return
        if template.unless and leaf(template.unless) in self.result:
            return
        if template.optional_text:
            self.result = {k: v for k, v in self.result.items() if v != () or k not in {leaf(p.path) for p in own}}
        for slot in template.slots:
            pieces = [p for component in slot.components for p in component if p.own]
            dead = slot.optional and leaf(pieces[0].path) not in self.result
            for piece in pieces:
                if not piece.filler_if or leaf(piece.filler_if) in self.result:
                    self._piece(piece, leaf(piece.path), dead)
                default = piece.default
                if default is not None and self.result.get(leaf(default.when)) == default.value:
                    text = default.texts.get(str(self.result.get(leaf(default.code))))
                    if text is not None:
                        self.result.setdefault(leaf(piece.path), text)

    def _piece(self, piece: Piece, leaf: str, dead: bool) -> None:
        codes, value = piece.codes, self.result.get(leaf)
        if codes is not None and dead:
            if codes.empty is not None:
                self.result[leaf] = codes.empty
            else:
                self.result.pop(leaf, None)
        elif codes is not None and codes.other is not None and value is not None and not codes.rows.get(str(value)):
            self.result[leaf] = codes.read[codes.other[0]]
        elif value is None and codes is not None and (codes.absent or codes.empty):
            self.result[leaf] = codes.read[codes.absent[0]] if codes.absent else str(codes.empty)
        elif value is None and piece.filler and not piece.filler_reads:
            self.result[leaf] = piece.filler


def normal_form(definition: Definition, letter: Letter) -> dict[str, Value]:
    """The values of `read(write(letter))`.

    Empty elements are gone and repetitions numbered without gaps; texts are in their normal form (`normal_text`); an
    absent value for which the layout writes a constant (organisation `_`, speciality 99, status POT) has that value; a
    value that is such a constant for an absent one (street `_`) is gone, and so is one without a place on the wire.
    """
    return _Normal(definition, letter.values).of()

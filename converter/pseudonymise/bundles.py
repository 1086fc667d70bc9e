"""FHIR in JSON: a value stays where its property is for codes, addresses or dates and the value is a known one."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from converter.fhir.narrative import FOLDER as NARRATIVES
from converter.fhir.rules.narrative import ELEMENTS
from converter.pseudonymise import markup
from converter.pseudonymise.fields import Fields
from converter.pseudonymise.keyed import Pseudonyms, personal
from converter.pseudonymise.signs import BASE64, BIRTH, TEXT, TOKEN, Part, Script, replaced
from converter.yamlfile import load

_TOKEN = re.compile(r'"(?P<string>(?:[^"\\]|\\.)*)"(?P<key>\s*:)?|(?P<sign>[{}\[\],])|(?P<number>-?\d[\d.eE+-]*)')
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?\Z")
_WORD = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[^\W_]+")
_CODED, _DATED = ("code", "uri", "canonical", "url"), ("date", "dateTime", "instant")
_PACK = ".json.gz"


def _read(sign: str) -> str:
    return sign if len(sign) == 1 else json.loads(f'"{sign}"')


def _write(old: str, new: str) -> str:
    return new if len(old) == 1 else f"\\u{ord(new):04x}"


SCRIPT = Script(re.compile(r"\\u[0-9A-Fa-f]{4}|\\.|.", re.DOTALL), _read, _write)


@dataclass(frozen=True)
class Vocabulary:
    """What is known without any message: strings of the profile packs, of the mapping files, and narrative's labels."""

    values: frozenset[str]
    words: frozenset[str]
    properties: frozenset[str]
    coded: frozenset[str]
    dates: frozenset[str]

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """The vocabulary of a mapping folder."""
        found: set[str] = set()
        typed: dict[str, set[str]] = {}
        for path in sorted((folder / "profiles").glob(f"*{_PACK}")):
            with gzip.open(path) as file:
                pack = json.load(file)
            found |= set(_strings(pack))
            for profile in pack["profiles"].values():
                for element in profile["elements"]:
                    name = element["id"].rpartition(".")[2]
                    for kind in map(str, element.get("types", ())):
                        typed.setdefault(kind, set()).add(name)
                        if name.endswith("[x]"):  # a choice is named by its type: valueBoolean
                            found.add(f"{name[:-3]}{kind[:1].upper()}{kind[1:]}")
        for path in sorted((folder / "fhir").rglob("*.yaml")) + sorted((folder / "codes").glob("*.yaml")):
            found |= set(_strings(load(path)))
        for path in sorted(NARRATIVES.glob("*.json")):
            found |= set(_strings(json.loads(path.read_bytes())))
        addresses = [value for value in found if "://" in value or value.startswith("urn:")]
        words = {word for value in addresses for word in _WORD.findall(value)}
        steps = {step.partition("[")[0].partition(":")[0] for value in found for step in value.split(".")}
        return cls(
            frozenset(found),
            frozenset(words),
            frozenset(found | steps),
            *(frozenset().union(*(typed.get(kind, ()) for kind in kinds)) for kinds in (_CODED, _DATED)),
        )


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)


class Properties:
    """What is done with the values of a property, by mappings/pseudonyms.yaml."""

    def __init__(self, fields: Fields, vocabulary: Vocabulary) -> None:
        content = fields.content["fhir"]
        sets = {str(name): frozenset(map(str, values)) for name, values in content.items() if name != "codes"}
        sets["known"] |= vocabulary.coded - sets["token"]
        sets["dates"] |= vocabulary.dates - sets["births"] - sets["token"]
        self._sets = sets
        self._codes = re.compile(str(content["codes"]))
        self.vocabulary = vocabulary
        self.letter_codes = fields.letter_codes
        self.names = vocabulary.properties.union(*self._sets.values())
        self.styles, self.schemes = sets["styles"], sets["schemes"]

    def number(self, name: str) -> bool:
        """Whether a number of this property is no content."""
        return name in self._sets["numbers"]

    def kind(self, name: str, value: str) -> str | None:
        """What is done with a value; None if it stays."""
        if name in self._sets["births"]:
            return BIRTH
        if name in self._sets["base64"]:
            return BASE64
        if name in self._sets["dates"] and _DATE.match(value):
            return None
        known = name in self._sets["known"]
        if known and (value in self.vocabulary.values or (name == "code" and self._codes.fullmatch(value))):
            return None
        return TOKEN if name in self._sets["token"] else TEXT

    def address(self, name: str) -> bool:
        """Whether words of known addresses stay in values of this property."""
        return name in self._sets["address"]


@dataclass
class _Scan:
    document: str
    properties: Properties
    names: Pseudonyms
    parts: list[Part] = field(default_factory=list)
    stories: list[tuple[int, int]] = field(default_factory=list)
    words: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Find the parts of the document; narratives wait until all other words are known."""
        above: list[str] = []
        name, opened = "", ""
        for match in _TOKEN.finditer(self.document):
            sign = match["sign"]
            if sign in ("{", "["):
                above.append(opened)
                above.append(name)
                opened = sign
            elif sign in ("}", "]"):
                name, opened = above.pop(), above.pop()
            elif match["key"]:
                name = SCRIPT.value(match["string"])
                if name.removeprefix("_") not in self.properties.names:
                    self.parts.append(Part(match.start("string"), match.end("string"), TOKEN))
            elif match["string"] is not None:
                self._value(name, match.start("string"), match.end("string"))
            elif match["number"] and not (self.properties.number(name) and len(match["number"]) < 10):
                self._number(match)

    def _value(self, name: str, start: int, end: int) -> None:
        raw = self.document[start:end]
        value = SCRIPT.value(raw)
        if name == "div":
            self.stories.append((start, end))
            return
        kind = self.properties.kind(name, value)
        if kind is None or not value:
            return
        made = None
        if kind == TOKEN:
            self.words |= set(_WORD.findall(value))
            if self.properties.address(name):
                made = SCRIPT.replaced(raw, self._address)
            elif "#" in value or value.startswith("urn:"):
                made = SCRIPT.replaced(raw, self._composed)
        self.parts.append(Part(start, end, kind, made))

    def _address(self, value: str) -> str:
        known = self.properties.vocabulary.words | self.properties.schemes
        types = self.properties.vocabulary.values
        return _WORD.sub(lambda m: m[0] if m[0] in known or m[0] in types else self.names.token(m[0]), value)

    def _composed(self, value: str) -> str:
        """What tells a letter's origin is made of its numbers and codes; an id may be a URN."""
        known = self.properties.schemes | self.properties.letter_codes
        return _WORD.sub(lambda m: m[0] if m[0] in known else self.names.token(m[0]), value)

    def _number(self, match: re.Match[str]) -> None:
        """A bare number has no zero at its beginning and must be nobody's: noise, until it is so."""
        raw = match["number"]
        found = (self._noise(raw, self.names.salt([raw, str(turn)])) for turn in count())
        zero = raw.lstrip("-")[:1] == "0"
        made = next(new for new in found if (zero or new.lstrip("-")[:1] != "0") and not personal(new))
        self.parts.append(Part(match.start("number"), match.end("number"), TEXT, made))

    def _noise(self, number: str, salt: bytes) -> str:
        # In pieces: for the number of a person in one piece there is just one replacement.
        return re.sub(r"\d{1,5}", lambda part: self.names.text(part[0], salt + part.start().to_bytes(4, "big")), number)

    def narratives(self) -> None:
        """Narratives repeat fields: those words are replaced as there, labels stay, the rest is noise."""
        salt = self.names.salt([self.document[start:end] for start, end in self.stories])
        for start, end in self.stories:
            raw = self.document[start:end]
            self.parts.append(Part(start, end, TEXT, SCRIPT.replaced(raw, lambda html: self._story(html, salt))))

    def _story(self, html: str, salt: bytes) -> str:
        done, end = [], 0
        for part in sorted(markup.narrative(html, ELEMENTS, self.properties.styles), key=lambda part: part.start):
            raw = html[part.start : part.end]
            done += [html[end : part.start], markup.SCRIPT.replaced(raw, lambda text: self._line(text, salt))]
            end = part.end
        return "".join([*done, html[end:]])

    def _line(self, text: str, salt: bytes) -> str:
        if text.strip(" :\n") in self.properties.vocabulary.values:
            return text
        made, end = [], 0
        for match in _WORD.finditer(text):
            if match[0] in self.words:
                made += [self.names.text(text[end : match.start()], salt), self.names.token(match[0])]
                end = match.end()
        return "".join([*made, self.names.text(text[end:], salt)])


def pseudonymised(data: bytes, properties: Properties, names: Pseudonyms) -> bytes:
    """A Bundle with all that is replaced; as long as it was, sign for sign. It must be one that can be read."""
    mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
    scan = _Scan(data.removeprefix(mark).decode("utf-8"), properties, names)
    scan.run()
    scan.narratives()
    return mark + replaced(scan.document, scan.parts, SCRIPT, names).encode("utf-8")

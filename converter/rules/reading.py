"""From the files of `mappings/rules` to rules; all faults of all files together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from converter.errors import MappingError
from converter.identifiers import ORGANISATION_NUMBERS
from converter.issues import Issue, Severity, declare
from converter.rules.checks import CHECKS
from converter.yamlfile import Map, Seq, Str, fault
from converter.yamlfile import load as load_yaml

FAULT = declare(
    "LNT300",
    "rule-file",
    Severity.ERROR,
    "{problem}",
    why="The rule, or the whole file, would be without effect, so letters would pass that should not.",
    help="Compare with the files in mappings/rules that come with the program.",
)

MAX_LEVEL = 5
"""The highest level of checks of replacement CPR numbers."""

_FILE = {"date", "rules", "lists"}
_RULE = {"owner", "source", "valid_from", "severity", "paths", "check"}
_MAY = {"valid_to", "when", "ecpr_level"}
_FIRST, _LAST = "0001-01-01", "9999-12-31"


@dataclass(frozen=True, slots=True)
class Edition:
    """What a code list holds from a day on, until the next edition."""

    valid_from: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Known:
    """Numbers that a check grades otherwise: those of a day (`0101`) of certain years."""

    severity: Severity
    day: str
    years: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `id` is the name of its file and its own, `when` the name of a leaf beside and the values it may have.

    `edition` is the edition of the code list that is valid on the day for which the rule was chosen.
    """

    id: str
    owner: str
    source: str
    valid_from: str
    severity: Severity
    paths: tuple[re.Pattern[str], ...]
    check: str
    valid_to: str = _LAST
    when: tuple[str, frozenset[str]] | None = None
    ecpr_level: int = 0
    beside: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    known: Known | None = None
    kind: str = ""
    codes: str = ""
    pad: int = 0
    limit: int = 0
    editions: tuple[Edition, ...] = ()
    edition: Edition | None = None

    def on(self, day: str) -> Rule | None:
        """The rule as it is on an ISO date; None if it is not valid then."""
        if not self.valid_from <= day <= self.valid_to:
            return None
        valid = [edition for edition in self.editions if edition.valid_from <= day]
        return replace(self, edition=max(valid, key=lambda e: e.valid_from)) if valid else self

    @property
    def days(self) -> set[str]:
        """The days on which something about it changes; the day after the last is written `DATE+`."""
        return {self.valid_from, f"{self.valid_to}+", *(edition.valid_from for edition in self.editions)}


@dataclass(slots=True)
class _Folder:
    rules: list[Rule] = field(default_factory=list)
    dates: tuple[str, ...] = ()
    faults: list[Issue] = field(default_factory=list)


def load(folder: Path) -> tuple[list[Rule], tuple[str, ...]]:
    """The rules of a folder of mapping files, and the leaves that hold the date of a message.

    Raises `MappingError` with all faults of all files. A folder without rules has none.
    """
    found = _Folder()
    documents: list[tuple[str, Map]] = []
    for path in sorted((folder / "rules").glob("*.yaml")):
        try:
            documents.append((path.stem, load_yaml(path)))
        except MappingError as error:
            found.faults += error.issues
    for name, document in documents:
        _Reader(folder, name, document, found).read()
    if found.faults:
        first = found.faults[0]
        raise MappingError(f"{first.at}: {first.message}", found.faults)
    return found.rules, found.dates


class _Reader:
    """Reads one file."""

    def __init__(self, folder: Path, name: str, document: Map, found: _Folder) -> None:
        self._folder, self._name, self._document, self._found = folder, name, document, found
        self._lists: dict[str, tuple[Edition, ...]] = {}

    def read(self) -> None:
        self._keys(self._document, _FILE, set(), "the file")
        if "date" in self._document:
            self._found.dates += self._texts(self._document, "date")
        for name, body in self._map(self._document, "lists").items():
            self._lists[str(name)] = self._editions(name, body)
        for name, body in self._map(self._document, "rules").items():
            if isinstance(body, Map):
                self._rule(name, body)
            else:
                self._fault(name, f"{name} must be a mapping")

    def _rule(self, name: Str, body: Map) -> None:
        check = CHECKS.get(self._text(body, "check"))
        if check is None:
            self._fault(body.get("check", name), f"{name}: check must be one of {', '.join(CHECKS)}")
            return
        self._keys(body, _RULE | check.needs, _MAY | check.may, str(name))
        severity = self._severity(body)
        if check.lenient and Severity.ERROR in (severity, self._severity(self._map(body, "known"), "info")):
            self._fault(body["severity"], f"{name}: what {body['check']} finds is never an error")
        rule = Rule(
            id=f"{self._name}.{name}",
            owner=self._text(body, "owner"),
            source=self._text(body, "source"),
            valid_from=self._day(body, "valid_from", _FIRST),
            valid_to=self._day(body, "valid_to", _LAST),
            severity=severity,
            paths=tuple(self._pattern(path) for path in self._texts(body, "paths")),
            check=self._text(body, "check"),
            when=self._when(body),
            ecpr_level=self._number(body, "ecpr_level", MAX_LEVEL),
            beside=self._texts(body, "beside"),
            tests=self._texts(body, "tests"),
            known=self._known(body),
            kind=self._kind(body),
            codes=self._text(body, "list"),
            pad=self._number(body, "pad", 20),
            limit=self._number(body, "limit", 10**9),
            editions=self._list(body),
        )
        self._found.rules.append(rule)

    def _known(self, body: Map) -> Known | None:
        if "known" not in body:
            return None
        known = self._map(body, "known")
        self._keys(known, {"severity", "day", "years"}, set(), "known")
        return Known(self._severity(known), self._text(known, "day"), frozenset(self._texts(known, "years")))

    def _when(self, body: Map) -> tuple[str, frozenset[str]] | None:
        when = self._map(body, "when")
        if len(when) > 1:
            self._fault(when, "when names one leaf beside")
        return next(((str(name), frozenset(self._texts(when, name))) for name in when), None)

    def _kind(self, body: Map) -> str:
        kind = self._text(body, "kind")
        if kind and kind not in ORGANISATION_NUMBERS:
            self._fault(body["kind"], f"kind must be one of {', '.join(ORGANISATION_NUMBERS)}")
        return kind

    def _list(self, body: Map) -> tuple[Edition, ...]:
        name = self._text(body, "list")
        if name and name not in self._lists:
            self._fault(body["list"], f"the file has no list {name}")
        return self._lists.get(name, ())

    def _editions(self, name: Str, body: Any) -> tuple[Edition, ...]:
        if not isinstance(body, Map):
            self._fault(name, f"{name} must be a mapping")
            return ()
        self._keys(body, {"source", "editions"}, set(), f"the list {name}")
        editions = body.get("editions")
        found = []
        for edition in editions if isinstance(editions, Seq) else ():
            if not isinstance(edition, Map):
                self._fault(edition, "an edition must be a mapping")
                continue
            self._keys(edition, {"valid_from"}, {"codes", "values"}, "the edition")
            values = self._texts(edition, "values")
            codes = self._code_map(edition) if "codes" in edition else ()
            found.append(Edition(self._day(edition, "valid_from", _FIRST), frozenset((*values, *codes))))
        if not found:
            self._fault(name, f"the list {name} has no editions")
        return tuple(found)

    def _code_map(self, edition: Map) -> tuple[str, ...]:
        """The codes of a code map of the mapping files, so that no list stands in two files."""
        path = self._folder / "codes" / f"{self._text(edition, 'codes')}.yaml"
        if not path.is_file():
            self._fault(edition["codes"], f"there is no code map {path.stem}")
            return ()
        rows = load_yaml(path).get("rows", ())
        return tuple(str(row["code"]) for row in rows if isinstance(row, Map) and "code" in row)

    def _pattern(self, path: str) -> re.Pattern[str]:
        """A path with `*` for any one step and `**` for any number of them, as an expression over pattern paths."""
        steps = [re.escape(step).replace(r"\*", r"[^.]*") for step in path.removeprefix("**.").split(".")]
        return re.compile((r"(?:.*\.)?" if path.startswith("**.") else "") + r"\.".join(steps) + r"\Z")

    # -- values

    def _keys(self, body: Map, must: set[str] | frozenset[str], may: set[str] | frozenset[str], where: str) -> None:
        optional = _FILE if must == _FILE else frozenset(may)
        for key in body:
            if key not in must and key not in may:
                self._fault(key, f"{where} has the unknown key {key}")
        for key in sorted(set(must) - set(body) - set(optional)):
            self._fault(body, f"{where} has no {key}")

    def _map(self, body: Map, key: str) -> Map:
        value = body.get(key)
        if isinstance(value, Map):
            return value
        if value is not None:
            self._fault(value, f"{key} must be a mapping")
        return Map()

    def _text(self, body: Map, key: str) -> str:
        value = body.get(key, "")
        if isinstance(value, str):
            return str(value)
        self._fault(value, f"{key} must be text")
        return ""

    def _texts(self, body: Map, key: str) -> tuple[str, ...]:
        value = body.get(key, Seq())
        if isinstance(value, Seq) and all(isinstance(item, str) for item in value):
            return tuple(str(item) for item in value)
        self._fault(value, f"{key} must be a list of texts")
        return ()

    def _day(self, body: Map, key: str, default: str) -> str:
        text = self._text(body, key) or default
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            self._fault(body[key], f"{key} is no day such as 2026-01-31")
            return default

    def _number(self, body: Map, key: str, limit: int) -> int:
        text = self._text(body, key) or "0"
        if text.isascii() and text.isdigit() and int(text[:12]) <= limit:
            return int(text)
        self._fault(body[key], f"{key} must be a whole number up to {limit}")
        return 0

    def _severity(self, body: Map, default: str = "warning") -> Severity:
        text = self._text(body, "severity") or default
        if text in [severity.value for severity in Severity]:
            return Severity(text)
        self._fault(body["severity"], f"severity must be one of {', '.join(Severity)}")
        return Severity.WARNING

    def _fault(self, value: object, problem: str) -> None:
        self._found.faults.append(fault(FAULT, value, problem=problem))

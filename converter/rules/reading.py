"""From the files of `mappings/rules` to rules; all faults of all files together."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from converter.errors import MappingError
from converter.identifiers import ORGANISATION_NUMBERS
from converter.issues import Issue, Severity, declare
from converter.rules.checks import CHECKS
from converter.yamlfile import Fields, Map, Seq, Str
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

    `odd`: values of a leaf beside for which a number is odd, or even. `edition` is the edition of the code list that is
    valid on the day for which the rule was chosen.
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
    odd: Mapping[str, bool] = field(default_factory=dict, hash=False)
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


def load(folder: Path, leaves: Collection[str] | None = None) -> tuple[list[Rule], tuple[str, ...]]:
    """The rules of a folder of mapping files, and the leaves that hold the date of a message.

    With `leaves`, the paths of the leaves of all letters, the names of leaves in the rules are checked. Raises
    `MappingError` with all faults of all files. A folder without rules has none.
    """
    rules: list[Rule] = []
    dates: tuple[str, ...] = ()
    faults: list[Issue] = []
    for path in sorted((folder / "rules").glob("*.yaml")):
        try:
            reader = _Reader(folder, path.stem, load_yaml(path), leaves)
            reader.read()
            reader.raise_faults()
            rules += reader.rules
            dates += reader.dates
        except MappingError as error:
            faults += error.issues
    if faults:
        raise MappingError(f"{faults[0].at}: {faults[0].message}", faults)
    return rules, dates


class _Reader(Fields):
    """Reads one file."""

    def __init__(self, folder: Path, name: str, document: Map, leaves: Collection[str] | None) -> None:
        super().__init__(FAULT)
        self._leaves = leaves
        self._folder, self._name, self._document = folder, name, document
        self._lists: dict[str, tuple[Edition, ...]] = {}
        self.rules: list[Rule] = []
        self.dates: tuple[str, ...] = ()

    def read(self) -> None:
        """Read all lists and rules of the file."""
        self.keys(self._document, (), _FILE, "the file")
        self.dates = self.texts(self._document, "date")
        for path in self.places(self._document, "date"):
            self._matching(path, self._pattern(path))
        for name, body in self._below(self._document, "lists").items():
            self._lists[str(name)] = self._editions(name, body)
        for name, body in self._below(self._document, "rules").items():
            self._rule(name, self.mapping(body, name, name))

    def _rule(self, name: Str, body: Map) -> None:
        check = CHECKS.get(self.text(body, "check"))
        if check is None:
            self.fault(body.get("check", name), f"{name}: check must be one of {', '.join(CHECKS)}")
            return
        self.keys(body, _RULE | check.needs, _MAY | check.may, str(name))
        severity = self._severity(body)
        if check.lenient and Severity.ERROR in (severity, self._severity(self._below(body, "known"), "info")):
            self.fault(body["severity"], f"{name}: what {body['check']} finds is never an error")
        paths = tuple((path, self._pattern(path)) for path in self.places(body, "paths"))
        self._names(body, [leaf for path, pattern in paths for leaf in self._matching(path, pattern)])
        rule = Rule(
            id=f"{self._name}.{name}",
            owner=self.text(body, "owner"),
            source=self.text(body, "source"),
            valid_from=self._day(body, "valid_from", _FIRST),
            valid_to=self._day(body, "valid_to", _LAST),
            severity=severity,
            paths=tuple(pattern for _, pattern in paths),
            check=self.text(body, "check"),
            when=self._when(body),
            ecpr_level=self._number(body, "ecpr_level", MAX_LEVEL),
            beside=self.texts(body, "beside"),
            odd={text: key == "male" for key in ("male", "female") for text in self.texts(body, key)},
            tests=self.texts(body, "tests"),
            known=self._known(body),
            kind=self._kind(body),
            codes=self.text(body, "list"),
            pad=self._number(body, "pad", 20),
            limit=self._number(body, "limit", 10**9),
            editions=self._list(body),
        )
        self.rules.append(rule)

    def _matching(self, path: str, pattern: re.Pattern[str]) -> list[str]:
        """The leaves that a path stands for, as far as leaves are known."""
        if self._leaves is None:
            return []
        found = [leaf for leaf in self._leaves if pattern.match(leaf)]
        if not found:
            self.fault(path, f"no letter has a leaf {path}")
        return found

    def _names(self, body: Map, matching: list[str]) -> None:
        """Leaves that stand beside those of the rule: `when` and `beside`."""
        groups = {leaf.rpartition(".")[0] for leaf in matching}
        for name in (*self._below(body, "when"), *self.places(body, "beside")):
            if groups and not any(f"{group}.{name}" in (self._leaves or ()) for group in groups):
                self.fault(name, f"no letter has a leaf {name} beside those of the rule")

    def _known(self, body: Map) -> Known | None:
        if "known" not in body:
            return None
        known = self._below(body, "known")
        self.keys(known, ("severity", "day", "years"), (), "known")
        return Known(self._severity(known), self.text(known, "day"), frozenset(self.texts(known, "years")))

    def _when(self, body: Map) -> tuple[str, frozenset[str]] | None:
        when = self._below(body, "when")
        if len(when) > 1:
            self.fault(when, "when names one leaf beside")
        return next(((str(name), frozenset(self.texts(when, name))) for name in when), None)

    def _kind(self, body: Map) -> str:
        kind = self.text(body, "kind")
        if kind and kind not in ORGANISATION_NUMBERS:
            self.fault(body["kind"], f"kind must be one of {', '.join(ORGANISATION_NUMBERS)}")
        return kind

    def _list(self, body: Map) -> tuple[Edition, ...]:
        name = self.text(body, "list")
        if name and name not in self._lists:
            self.fault(body["list"], f"the file has no list {name}")
        return self._lists.get(name, ())

    def _editions(self, name: Str, body: Any) -> tuple[Edition, ...]:
        found_list = self.mapping(body, name, name)
        self.keys(found_list, ("source", "editions"), (), f"the list {name}")
        editions = found_list.get("editions")
        found = []
        for edition in editions if isinstance(editions, Seq) else ():
            if not isinstance(edition, Map):
                self.fault(edition, "an edition must be a mapping")
                continue
            self.keys(edition, ("valid_from",), ("codes", "values"), "the edition")
            values = self.texts(edition, "values")
            codes = self._code_map(edition) if "codes" in edition else ()
            found.append(Edition(self._day(edition, "valid_from", _FIRST), frozenset((*values, *codes))))
        if not found:
            self.fault(name, f"the list {name} has no editions")
        return tuple(found)

    def _code_map(self, edition: Map) -> tuple[str, ...]:
        """The codes of a code map of the mapping files, so that no list stands in two files."""
        path = self._folder / "codes" / f"{self.text(edition, 'codes')}.yaml"
        if not path.is_file():
            self.fault(edition["codes"], f"there is no code map {path.stem}")
            return ()
        rows = load_yaml(path).get("rows", ())
        return tuple(str(row["code"]) for row in rows if isinstance(row, Map) and "code" in row)

    def _pattern(self, path: str) -> re.Pattern[str]:
        """A path with `*` for any one step and `**` for any number of them, as an expression over pattern paths."""
        steps = [re.escape(step).replace(r"\*", r"[^.]*") for step in path.removeprefix("**.").split(".")]
        return re.compile((r"(?:.*\.)?" if path.startswith("**.") else "") + r"\.".join(steps) + r"\Z")

    # -- values

    def _below(self, body: Map, key: str) -> Map:
        """A field that is a mapping; empty if it is not there."""
        return self.mapping(body[key], body, key) if key in body else Map()

    def _day(self, body: Map, key: str, default: str) -> str:
        text = self.text(body, key) or default
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            self.fault(body[key], f"{key} is no day such as 2026-01-31")
            return default

    def _number(self, body: Map, key: str, limit: int) -> int:
        text = self.text(body, key) or "0"
        if text.isascii() and text.isdigit() and int(text[:12]) <= limit:
            return int(text)
        self.fault(body[key], f"{key} must be a whole number up to {limit}")
        return 0

    def _severity(self, body: Map, default: str = "warning") -> Severity:
        text = self.text(body, "severity") or default
        if text in [severity.value for severity in Severity]:
            return Severity(text)
        self.fault(body["severity"], f"severity must be one of {', '.join(Severity)}")
        return Severity.WARNING

"""What is counted and how it is weighed, as data (`mappings/assessment.yaml`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from converter.assessment.tables import DRIVERS
from converter.errors import InterchangeError
from converter.issues import Severity, declare
from converter.yamlfile import Fields, Map, Seq, load

FILE = "assessment.yaml"
MEASURES = declare(
    "LNT289",
    "assessment-file",
    Severity.ERROR,
    "{problem}",
    why="An assessment would count or weigh otherwise than the file means to say.",
    help="Compare with the file assessment.yaml that comes with the program.",
)
_LISTS = (
    "structure", "invalid", "invalid_fhir", "unmapped", "unplaced", "sent", "written", "persons", "not_assessed"
)  # fmt: skip
_PARTS = (*_LISTS, "drivers", "table", "late", "retentions", "quality", "functional", "effort")
_UNITS = ("parser-exists", "new-type", "unmapped-field", "lossy-rule", "code-list", "certification")


@dataclass(frozen=True, slots=True)
class Need:
    """What shows a need: findings, losses, or so many attachments (0: they do not matter)."""

    codes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    attachments: int = 0

    def shown(self, codes: Iterable[str], losses: Iterable[str], attachments: int) -> bool:
        """Whether a message with these shows it."""
        if self.attachments and attachments >= self.attachments:
            return True
        return any(code in self.codes for code in codes) or any(loss in self.losses for loss in losses)


@dataclass(frozen=True, slots=True)
class Check:
    """A check on the content: what fails it, and the fields that it is about (none: every message)."""

    name: str
    driver: str
    need: Need
    tested: tuple[str, ...]

    def is_about(self, fields: Iterable[str]) -> bool:
        """Whether it is about a message with these fields."""
        return not self.tested or any(fnmatchcase(name, form) for name in fields for form in self.tested)


@dataclass(frozen=True, slots=True)
class Change:
    """A change inside systems, its points, and what shows that it is needed."""

    name: str
    points: float
    need: Need


@dataclass(frozen=True)
class Measures:
    """The file. Fields are those of the file, where they say what they are."""

    structure: tuple[str, ...]
    invalid: tuple[str, ...]
    invalid_fhir: tuple[str, ...]
    unmapped: tuple[str, ...]
    unplaced: tuple[str, ...]
    sent: tuple[str, ...]
    written: tuple[str, ...]
    persons: tuple[str, ...]
    not_assessed: tuple[str, ...]
    table_losses: tuple[str, ...]
    table_issues: tuple[str, ...]
    table_rules: tuple[str, ...]
    late: Mapping[str, int]
    retentions: tuple[tuple[str, int], ...]
    quality: tuple[Check, ...]
    changes: tuple[Change, ...]
    points: Mapping[str, float]
    cluster_points: tuple[tuple[float, float], ...]
    _issues: Mapping[str, str] = field(default_factory=dict)
    _losses: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Measures:
        """Read the file of a folder of mapping files. Raises `MappingError` with all its faults."""
        path = folder / FILE
        if not path.is_file():
            raise InterchangeError(f"there is no {FILE} among the mapping files")
        return _Reader(load(path, name=FILE)).measures()

    def issue_driver(self, code: str) -> str:
        """Why a finding with that code costs something."""
        return _longest(self._issues, code)

    def loss_driver(self, loss: str) -> str:
        """Why a loss costs something."""
        return _longest(self._losses, loss)

    def of_cluster(self, share: float) -> float:
        """The points of a cluster with that share of all messages."""
        return max((least, points) for least, points in self.cluster_points if share >= least)[1]


def _longest(table: Mapping[str, str], text: str) -> str:
    fitting = [start for start in table if text.startswith(start)]
    return table[max(fitting, key=len)] if fitting else DRIVERS[1]


class _Reader(Fields):
    def __init__(self, file: Map) -> None:
        super().__init__(MEASURES)
        self._file = file

    def measures(self) -> Measures:
        """What the file says. Raises `MappingError` with all faults."""
        file = self._file
        self.keys(file, _PARTS, (), FILE)
        lists: dict[str, Any] = {name: self.texts(file, name) for name in _LISTS}
        table = self._part("table")
        self.keys(table, ("losses", "issues", "rules"), (), "table")
        drivers = self._part("drivers")
        self.keys(drivers, ("issues", "losses"), (), "drivers")
        effort = self._part("effort")
        self.keys(effort, (*_UNITS, "cluster"), (), "effort")
        late = self._part("late")
        self.keys(late, ("receipt", "attachment"), (), "late")
        found = Measures(
            **lists,
            table_losses=self.texts(table, "losses"),
            table_issues=self.texts(table, "issues"),
            table_rules=self.texts(table, "rules"),
            late={name: int(self._number(late, name)) for name in late},
            retentions=tuple(
                (self.text(one, "name"), int(self._number(one, "minutes"))) for one in self._rows("retentions")
            ),
            quality=tuple(self._check(name, one) for name, one in self._entries("quality")),
            changes=tuple(self._change(name, one) for name, one in self._entries("functional")),
            points={name: self._number(effort, name) for name in _UNITS},
            cluster_points=self._steps(effort),
            _issues=self._drivers(drivers, "issues"),
            _losses=self._drivers(drivers, "losses"),
        )
        self.raise_faults()
        return found

    def _part(self, name: str) -> Map:
        return self.mapping(self._file.get(name), self._file, name)

    def _entries(self, name: str) -> list[tuple[str, Map]]:
        return [(str(key), self.mapping(value, key, str(key))) for key, value in self._part(name).items()]

    def _rows(self, name: str) -> list[Map]:
        value = self._file.get(name)
        if isinstance(value, Seq):
            return [self.mapping(one, value, f"an entry of {name}") for one in value]
        self.fault(self._file if value is None else value, f"{name} must be a list")
        return []

    def _number(self, entries: Map, key: str) -> float:
        value = self.text(entries, key)
        try:
            number = float(value)
        except ValueError:
            number = -1
        if not 0 <= number < 1e9:
            self.fault(entries.get(key, entries), f"{key} must be a number, not below zero")
            return 0
        return number

    def _need(self, entry: Map) -> Need:
        many = int(self._number(entry, "attachments")) if "attachments" in entry else 0
        return Need(self.texts(entry, "codes"), self.texts(entry, "losses"), many)

    def _check(self, name: str, entry: Map) -> Check:
        self.keys(entry, ("driver", "tested"), ("codes", "losses", "attachments"), name)
        return Check(name, self._driver(entry, "driver"), self._need(entry), self.texts(entry, "tested"))

    def _change(self, name: str, entry: Map) -> Change:
        self.keys(entry, ("points",), ("codes", "losses", "attachments"), name)
        return Change(name, self._number(entry, "points"), self._need(entry))

    def _drivers(self, drivers: Map, name: str) -> dict[str, str]:
        entries = self.mapping(drivers.get(name), drivers, name)
        return {str(start): self._driver(entries, start) for start in entries}

    def _driver(self, entries: Map, key: str) -> str:
        driver = self.text(entries, key)
        if driver not in DRIVERS:
            self.fault(entries.get(key, entries), f"{key} must be one of {', '.join(DRIVERS)}")
        return driver

    def _steps(self, effort: Map) -> tuple[tuple[float, float], ...]:
        steps = effort.get("cluster")
        rows = [self.mapping(one, effort, "an entry of cluster") for one in steps] if isinstance(steps, Seq) else []
        found = tuple((self._number(one, "share"), self._number(one, "points")) for one in rows)
        if not any(share == 0 for share, _ in found):
            self.fault(effort, "cluster must have a line for the share 0")
            return ((0.0, 0.0),)
        return found

"""Code maps (`mappings/codes/`) and the loss catalogue (`mappings/losses.yaml`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from converter.errors import MappingError
from converter.issues import Issue, Location, Severity, declare
from converter.yamlfile import Map, Seq, Str, fault, load, place

BAD_CODES = declare(
    "LNT060",
    "bad-code-map",
    Severity.ERROR,
    "{problem}",
    why="A code map that is read wrongly gives wrong codes.",
    help="A code map has `codes`, `columns` (name: letter, fhir or text) and `rows` with those columns.",
)
AMBIGUOUS_CODES = declare(
    "LNT061",
    "code-map-ambiguous",
    Severity.ERROR,
    "two rows answer for the same {side} code, first in line {first}",
    why="Which of them wins would depend on their order in the file.",
    help="Mark all but one with `back: no`, or remove one.",
)
BAD_LOSS = declare(
    "LNT062",
    "bad-loss",
    Severity.ERROR,
    "{problem}",
    why="Every loss must say how bad it is and who says so.",
    help="Give `severity` (block, warn or info), `what`, `says` and, where it is ours, a clinical `reason`.",
)

_RELATIONS = ("equivalent", "wider", "narrower")


@dataclass(frozen=True, slots=True)
class CodeMap:
    """One code map: rows of named columns. `there` and `back` look a row up by the columns of the asking side."""

    name: str
    columns: Mapping[str, str]
    rows: tuple[Mapping[str, str], ...]
    places: tuple[Location, ...] = ()

    def table(self, by: tuple[str, ...], *, back: bool) -> dict[tuple[str, ...], Mapping[str, str]]:
        """Rows by the values of these columns; on the way back without rows marked `back: no`; the first row wins."""
        found: dict[tuple[str, ...], Mapping[str, str]] = {}
        for row in self.rows:
            if back and row.get("back") == "no":
                continue
            found.setdefault(tuple(row[c] for c in by), row)
        return found

    def pairs(self, key: str, value: str) -> dict[str, str]:
        """One column by another."""
        return {row[key]: row[value] for row in self.rows}

    def keys(self) -> dict[str, Mapping[str, str]]:
        """Rows by their first column."""
        first = next(iter(self.columns))
        return {row[first]: row for row in self.rows}

    def row_of(self, code: object, system: object) -> Mapping[str, str] | None:
        """The row of a code; where the map has a column `system`, of that system."""
        return next((row for row in self.rows if row["code"] == code and row.get("system", system) == system), None)


@dataclass(frozen=True, slots=True)
class Loss:
    """One entry of the loss catalogue. `severity` block refuses the message unless it is accepted."""

    id: str
    severity: str
    what: str
    says: str
    reason: str = ""

    @property
    def level(self) -> Severity:
        """The severity of an issue about this loss."""
        return {"block": Severity.ERROR, "warn": Severity.WARNING, "info": Severity.INFO}[self.severity]


@dataclass(slots=True)
class _Faults:
    issues: list[Issue] = field(default_factory=list)


def load_codes(folder: Path, name_of: Mapping[Path, str]) -> dict[str, CodeMap]:
    """All code maps of a folder by name. Raises `MappingError` with every fault."""
    faults = _Faults()
    maps: dict[str, CodeMap] = {}
    for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        try:
            document = load(path, name=name_of.get(path, path.name))
        except MappingError as error:
            faults.issues.extend(error.issues)
            continue
        one = _code_map(document, faults)
        if one is not None:
            maps[one.name] = one
    if faults.issues:
        raise MappingError("code maps do not load", faults.issues)
    return maps


def _code_map(document: Map, faults: _Faults) -> CodeMap | None:
    name, columns, rows = document.get("codes"), document.get("columns"), document.get("rows")
    if not isinstance(name, Str) or not isinstance(columns, Map) or not isinstance(rows, Seq):
        faults.issues.append(fault(BAD_CODES, document, problem="`codes`, `columns` and `rows` are needed"))
        return None
    good = [row for row in rows if _row_is_good(row, columns, faults)]
    for side in ("letter", "fhir"):
        _check_unique(good, tuple(c for c, s in columns.items() if s == side), side, faults)
    # Plain strings: what a row gives ends up in Bundles, which travel between processes without places in YAML.
    plain = tuple({str(key): str(value) for key, value in row.items()} for row in good)
    return CodeMap(
        str(name), {str(key): str(value) for key, value in columns.items()}, plain, tuple(place(row) for row in good)
    )


def _row_is_good(row: object, columns: Map, faults: _Faults) -> bool:
    if not isinstance(row, Map):
        faults.issues.append(fault(BAD_CODES, row, problem="a row is a mapping of columns"))
        return False
    for key, value in row.items():
        if key == "relation" and value not in _RELATIONS:
            faults.issues.append(fault(BAD_CODES, value, problem=f"`relation` is one of {', '.join(_RELATIONS)}"))
        elif key == "back" and value not in ("yes", "no"):
            faults.issues.append(fault(BAD_CODES, value, problem="`back` is yes or no"))
        elif key not in columns and key not in ("relation", "back"):
            faults.issues.append(fault(BAD_CODES, key, problem=f"there is no column {key!r}"))
    missing = [c for c in columns if c not in row]
    if missing:
        faults.issues.append(fault(BAD_CODES, row, problem=f"the row has no value for {', '.join(missing)}"))
    return not missing


def _check_unique(rows: Iterable[Map], by: tuple[str, ...], side: str, faults: _Faults) -> None:
    seen: dict[tuple[str, ...], int] = {}
    for row in rows:
        if side == "fhir" and row.get("back") == "no":
            continue
        key = tuple(row[c] for c in by)
        if not by:
            continue
        if key in seen:
            faults.issues.append(fault(AMBIGUOUS_CODES, row, side=side, first=seen[key]))
        seen.setdefault(key, row.at.line)


def load_losses(path: Path, name: str) -> dict[str, Loss]:
    """The loss catalogue by id. Raises `MappingError` with every fault."""
    document = load(path, name=name)
    losses: dict[str, Loss] = {}
    issues: list[Issue] = []
    entries = document.get("losses")
    if not isinstance(entries, Map):
        raise MappingError("no losses", [fault(BAD_LOSS, document, problem="`losses` is needed")])
    for key, entry in entries.items():
        if not isinstance(entry, Map):
            issues.append(fault(BAD_LOSS, key, problem="a loss is a mapping"))
            continue
        problem = _loss_problem(entry)
        if problem:
            issues.append(fault(BAD_LOSS, key, problem=problem))
            continue
        losses[str(key)] = Loss(str(key), entry["severity"], entry["what"], entry["says"], entry.get("reason", ""))
    if issues:
        raise MappingError("the loss catalogue does not load", issues)
    return losses


def _loss_problem(entry: Map) -> str:
    missing = [k for k in ("severity", "what", "says") if k not in entry]
    if missing:
        return f"{', '.join(missing)} is missing"
    if unknown := [k for k in entry if k not in ("severity", "what", "says", "reason")]:
        return f"there is no {unknown[0]!r}; a text with a comma needs quotes"
    if entry["severity"] not in ("block", "warn", "info"):
        return "`severity` is block, warn or info"
    if entry["says"] == "ours" and not entry.get("reason"):
        return "a loss that is ours needs a clinical `reason`"
    return ""

"""The one type of finding: what was found where, by which rule; shared by readers, mapper, validator and linter.

A kind of issue is declared once, with `declare`, beside the code that finds it. Messages never hold a value from a
message: they say what was found and expected in terms of shape (a length, a segment tag, a code list's name). The value
itself may travel in `Issue.value` and is shown only on request (`--show-values`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

FAMILIES = {
    "EDI": "EDIFACT syntax, envelope and structure",
    "XML": "OIOXML syntax and structure",
    "LTR": "content of a letter",
    "MAP": "converting",
    "LNT": "mapping files",
    "PRO": "FHIR reading and profiles",
    "NCK": "not checked",
    "DIR": "organisation table",
    "BAT": "batches",
    "FLW": "referrals and their answers",
    "VAN": "VANS envelopes",
    "RTE": "routing",
    "SYS": "the converter itself",
}
_CODE = re.compile(r"(EDI|XML|LTR|MAP|LNT|PRO|NCK|DIR|BAT|FLW|VAN|RTE|SYS)\d{3}\Z")


class Severity(StrEnum):
    """How bad a finding is: `error` breaks a rule, `warning` may hurt, `info` is for the record."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for error."""
        return ("info", "warning", "error").index(self.value)


@dataclass(frozen=True, slots=True)
class IssueKind:
    """One kind of finding, as `medcom-fhir explain CODE` prints it.

    `message` is a format string whose arguments never are values of a message. `why` says what goes wrong if it is
    ignored, `help` what to do. `source` names the rule (a standard's paragraph, a MedCom document and row).
    `contrl` is the UN/EDIFACT syntax error code (data element 0085) where one fits. `example` shows a breach.
    """

    code: str
    name: str
    severity: Severity
    message: str
    why: str
    help: str
    source: str = ""
    contrl: int | None = None
    example: str = ""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (kind_of, (self.code,))


_catalog: dict[str, IssueKind] = {}


def declare(
    code: str,
    name: str,
    severity: Severity,
    message: str,
    *,
    why: str,
    help: str,  # noqa: A002 - the word of the text form
    source: str = "",
    contrl: int | None = None,
    example: str = "",
) -> IssueKind:
    """Declare a kind of issue. A code is three letters of `FAMILIES` and three digits, and is never used twice."""
    if not _CODE.match(code):
        raise ValueError(f"not an issue code: {code}")
    if code in _catalog:
        raise ValueError(f"issue code declared twice: {code}")
    kind = IssueKind(code, name, severity, message, why, help, source, contrl, example)
    _catalog[code] = kind
    return kind


def kind_of(code: str) -> IssueKind:
    """The declared kind with that code; `KeyError` if none is."""
    return _catalog[code]


def catalog() -> dict[str, IssueKind]:
    """All kinds declared by the modules imported so far, by code."""
    return dict(sorted(_catalog.items()))


def import_all_kinds() -> None:
    """Import every module of the package, so that the catalog holds every kind of issue."""
    import importlib
    import pkgutil

    import converter

    for module in pkgutil.walk_packages(converter.__path__, "converter."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


# Not frozen: a frozen dataclass costs four times as much to make, and findings are made by the thousand.
@dataclass(slots=True, unsafe_hash=True)
class Location:
    """Where in an input; never changed once made.

    Lines, columns, elements, components and ordinals count from 1; 0 means not available.

    `offset` counts bytes from 0 in the input, -1 means not available. `path` is the letter path or XML element path,
    or the JSON pointer in FHIR.
    """

    file: str = ""
    line: int = 0
    column: int = 0
    offset: int = -1
    segment: str = ""
    ordinal: int = 0
    element: int = 0
    component: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


Where = Location | Callable[[], Location] | tuple[Any, ...]
"""A place, or what finds it when somebody asks: a function, or one with its arguments, which costs less than a closure.

Lines and columns are dear, and seldom looked at.
"""


class Issue:
    """One finding, never changed once made.

    `target` is a JSON pointer or FHIRPath in the output, `rule` names the rule that found it. `value` may be a value of
    the message. Compares by its fields; pickles with its place found.
    """

    __slots__ = ("_at", "count", "kind", "message", "rule", "severity", "target", "value")

    def __init__(  # noqa: PLR0917 - the fields of a finding, in the order in which they are shown
        self,
        kind: IssueKind,
        at: Where,
        message: str,
        target: str = "",
        rule: str = "",
        value: str | None = None,
        count: int = 1,
        severity: Severity = Severity.ERROR,
    ) -> None:
        self.kind, self._at, self.message, self.target = kind, at, message, target
        self.rule, self.value, self.count, self.severity = rule, value, count, severity

    @property
    def at(self) -> Location:
        """Where in the input it is."""
        at = self._at
        if not isinstance(at, Location):
            self._at = at = at[0](*at[1:]) if isinstance(at, tuple) else at()
        return at

    @property
    def code(self) -> str:
        """The code of its kind."""
        return self.kind.code

    @property
    def homeless(self) -> bool:
        """Whether it is known to name no file (a place that is still to be found names one)."""
        return isinstance(self._at, Location) and not self._at.file

    def moved(self, **changes: object) -> Issue:
        """A copy whose location has these fields changed (such as `file`)."""
        return self.changed(at=replace(self.at, **changes))  # type: ignore[arg-type]

    def changed(self, **fields: Any) -> Issue:
        """A copy with these fields changed."""
        made = Issue(self.kind, self._at, self.message, self.target, self.rule, self.value, self.count, self.severity)
        for name, value in fields.items():
            setattr(made, "_at" if name == "at" else name, value)
        return made

    def _fields(self) -> tuple[Any, ...]:
        return (self.kind, self.at, self.message, self.target, self.rule, self.value, self.count, self.severity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Issue) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        # Never the value: representations end in logs and tracebacks.
        return f"Issue({self.code} at {self.at}: {self.message})"

    def __reduce__(self) -> tuple[type[Issue], tuple[Any, ...]]:
        return (Issue, self._fields())


_new = object.__new__


def issue(  # noqa: PLR0917 - the fields of a finding, in the order in which they are shown
    kind: IssueKind, at: Where, message: str, target: str = "", rule: str = "", count: int = 1
) -> Issue:
    """As `Issue`, of the severity of its kind and without a value, for a third of the price: a class calls its
    `__init__` from C."""
    made = _new(Issue)
    made.kind, made._at, made.message, made.target = kind, at, message, target
    made.rule, made.value, made.count, made.severity = rule, None, count, kind.severity
    return made


NOWHERE = Location()


class IssueLog:
    """A list of findings that layers add to. Nothing below the engine decides what follows from them."""

    __slots__ = ("issues",)

    def __init__(self, issues: Iterable[Issue] = ()) -> None:
        self.issues: list[Issue] = list(issues)

    def add(
        self,
        kind: IssueKind,
        at: Where = NOWHERE,
        *,
        target: str = "",
        rule: str = "",
        value: str | None = None,
        count: int = 1,
        severity: Severity | None = None,
        **facts: Any,
    ) -> None:
        """Add a finding. `facts` fill the kind's message and must not be values of a message; `value` may be one."""
        message = kind.message.format(**facts)
        self.issues.append(Issue(kind, at, message, target, rule, value, count, severity or kind.severity))

    def extend(self, issues: Iterable[Issue]) -> None:
        """Add findings made elsewhere."""
        self.issues.extend(issues)

    def named(self, file: str) -> list[Issue]:
        """All findings; those that are known to name no file name this one."""
        found = [*self.issues]
        for n, issue in enumerate(found):
            at = issue._at  # as `homeless` asks, without a call for each
            if at.__class__ is Location and file and not at.file:
                found[n] = issue.moved(file=file)
        return found

    def drain(self) -> list[Issue]:
        """Return all findings and forget them."""
        issues, self.issues = self.issues, []
        return issues

    def worst(self) -> Severity | None:
        """The highest severity in the log, or None if it is empty."""
        return max((i.severity for i in self.issues), key=lambda s: s.rank, default=None)

    def __iter__(self) -> Iterator[Issue]:
        return iter(self.issues)

    def __len__(self) -> int:
        return len(self.issues)

"""YAML in which every value knows its file, line and column. Strings only: `NO`, `0101` and `12:30` stay text.

Mapping files come from people and from pull requests, so the loader refuses everything that is not plain data: tags,
anchors, aliases and merge keys (a few lines of aliases can hang a loader), duplicate keys, more than 1 MB, more than
50 levels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from converter.errors import MappingError
from converter.issues import Issue, IssueKind, IssueLog, Location, Severity, declare

MAX_BYTES = 1_000_000
MAX_DEPTH = 50

SYNTAX = declare(
    "LNT001",
    "yaml-syntax",
    Severity.ERROR,
    "not readable as YAML: {problem}",
    why="Nothing of the file can be used.",
    help="Look at the place named; a missing quote or a wrong indentation just before it is the usual cause.",
)
REFUSED = declare(
    "LNT002",
    "yaml-construct-refused",
    Severity.ERROR,
    "{construct} is not allowed in mapping files",
    why="Tags can run code and aliases can grow without limit; a mapping file is plain data.",
    help="Write the value out, or use a shared part (`uses`, `apply`).",
)
DUPLICATE = declare(
    "LNT003",
    "duplicate-key",
    Severity.ERROR,
    "the key {key!r} stands twice in one mapping (first in line {first})",
    why="One of the two would silently win.",
    help="Rename or remove one of them.",
)
TOO_LARGE = declare(
    "LNT004",
    "yaml-too-large",
    Severity.ERROR,
    "the file has more than {limit} {unit}",
    why="A limit guards against files that are made to exhaust memory.",
    help="Split the file.",
)


# The same events from libyaml, where PyYAML was built with it, ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Events are told by their class: to ask what each of ten thousand is an instance of takes as long as to parse them.
_STARTS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
_new = str.__new__


class Str(str):
    """A YAML scalar: its text, and where it stands."""

    at: Location

    def __new__(cls, text: str, at: Location) -> Str:
        new = super().__new__(cls, text)
        new.at = at
        return new


class Seq(list[Any]):
    """A YAML sequence, and where it starts."""

    at: Location


class Map(dict[Any, Any]):
    """A YAML mapping, and where it starts. Keys are `Str`."""

    at: Location


def place(value: object) -> Location:
    """Where a loaded value stands; an empty location for anything that was not loaded."""
    at = getattr(value, "at", None)
    return at if isinstance(at, Location) else Location()


def fault(kind: IssueKind, value: object, **facts: Any) -> Issue:
    """An issue of that kind at the place of a loaded value."""
    log = IssueLog()
    log.add(kind, place(value), **facts)
    return log.issues[0]


def load(path: Path, *, name: str | None = None) -> Map:
    """Load a file whose top level is a mapping. Raises `MappingError` with the issue otherwise, `OSError` if unread."""
    return loads(path.read_bytes(), name=name or str(path))


def loads(data: bytes, *, name: str) -> Map:
    """Load YAML from bytes; `name` stands for the file in locations. Raises `MappingError` with the issue."""
    top = Location(name, 1, 1)
    if len(data) > MAX_BYTES:
        raise _error(TOO_LARGE, top, limit=MAX_BYTES, unit="bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(SYNTAX, top, problem=f"byte {error.start} is not UTF-8") from None
    loaded = _build(_events(text, name), name)
    if not isinstance(loaded, Map):
        raise _error(SYNTAX, top, problem="the top level is not a mapping")
    return loaded


def top(data: bytes, keys: Collection[str], *, name: str) -> dict[str, str]:
    """The plain texts under some keys of the top level, the first of each; no more is parsed than is needed for them.

    What is not looked at is not judged. Raises `MappingError` for what cannot be parsed.
    """
    found: dict[str, str] = {}
    depth, key = 0, ""
    is_key = True
    try:
        for event in yaml.parse(data.decode("utf-8-sig"), Loader=_LOADER):
            if isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
                continue
            if depth == 0 and isinstance(event, yaml.SequenceStartEvent):
                break
            if depth == 1:
                text = event.value if isinstance(event, yaml.ScalarEvent) else None
                if is_key:
                    key = text or ""
                elif text is not None and key in keys:
                    found.setdefault(key, text)
                is_key = not is_key
            depth += isinstance(event, yaml.CollectionStartEvent)
            if len(found) == len(keys):
                break
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise _error(SYNTAX, Location(name, 1, 1), problem="malformed") from None
    return found


def _error(kind: IssueKind, at: Location, **facts: Any) -> MappingError:
    log = IssueLog()
    log.add(kind, at, **facts)
    return MappingError(f"{at}: {log.issues[0].message}", log)


def _at(event: Any, name: str) -> Location:
    mark = event.start_mark
    return Location(name, mark.line + 1, mark.column + 1)


def _events(text: str, name: str) -> list[Any]:
    """All events, of which none is refused."""
    events: list[Any] = []
    event: Any
    depth = documents = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            kind = event.__class__
            if kind is yaml.ScalarEvent:
                wrong = event.anchor or event.tag or (event.value == "<<" and event.implicit[0])
            elif kind in _STARTS:
                depth += 1
                wrong = depth > MAX_DEPTH or event.anchor or event.tag
            elif kind in _ENDS:
                depth -= 1
                wrong = False
            else:
                documents += kind is yaml.DocumentStartEvent
                wrong = kind is yaml.AliasEvent or documents > 1
            if wrong:
                raise _refused(event, name, depth, documents)
            events.append(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        at = Location(name, mark.line + 1, mark.column + 1) if mark else Location(name, 1, 1)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "malformed"
        raise _error(SYNTAX, at, problem=problem) from None
    except RecursionError:
        raise _error(TOO_LARGE, Location(name, 1, 1), limit=MAX_DEPTH, unit="levels") from None
    return events


def _refused(event: Any, name: str, depth: int, documents: int) -> MappingError:
    """What to raise for an event that is not allowed."""
    if depth > MAX_DEPTH:
        return _error(TOO_LARGE, _at(event, name), limit=MAX_DEPTH, unit="levels")
    if documents > 1:
        construct = "a second document"
    elif isinstance(event, yaml.AliasEvent):
        construct = "an alias"
    else:
        construct = "an anchor" if event.anchor else "a tag" if event.tag else "a merge key"
    return _error(REFUSED, _at(event, name), construct=construct)


def _build(events: list[Any], name: str) -> Any:
    """What is in the only document; None if there is none."""
    stream = iter(events)

    def value(event: Any) -> Any:
        mark = event.start_mark
        at = Location(name, mark.line + 1, mark.column + 1)
        if event.__class__ is yaml.ScalarEvent:
            text = _new(Str, event.value)
            text.at = at
            return text
        if event.__class__ is yaml.SequenceStartEvent:
            items = Seq()
            items.at = at
            for inner in stream:
                if inner.__class__ is yaml.SequenceEndEvent:
                    return items
                items.append(value(inner))
        entries = Map()
        entries.at = at
        for inner in stream:
            if inner.__class__ is yaml.MappingEndEvent:
                break
            key = value(inner)
            if key.__class__ is not Str:
                raise _error(SYNTAX, key.at, problem="a key must be plain text")
            item = value(next(stream))
            if key in entries:
                first = next(k for k in entries if k == key)
                raise _error(DUPLICATE, key.at, key=str(key), first=first.at.line)
            entries[key] = item
        return entries

    return next((value(event) for event in stream if event.__class__ in (yaml.ScalarEvent, *_STARTS)), None)


def key_of(entries: Mapping[Any, Any], key: str) -> Str:
    """The key itself with its place, for messages about a whole entry; `KeyError` if it is not there."""
    for have in entries:
        if have == key:
            return have if isinstance(have, Str) else Str(key, place(entries))
    raise KeyError(key)


class Fields:
    """Reads the fields of a file that is a table, and gathers what is wrong with them under one kind of issue.

    A wrong field reads as empty, so that all faults are found together; `raise_faults` says so in the end.
    """

    def __init__(self, kind: IssueKind) -> None:
        self._finding = kind
        self.faults: list[Issue] = []

    def fault(self, value: object, problem: str) -> None:
        """Note what is wrong at the place of a value."""
        self.faults.append(fault(self._finding, value, problem=problem))

    def raise_faults(self) -> None:
        """Raise `MappingError` if anything was wrong."""
        if self.faults:
            first = self.faults[0]
            raise MappingError(f"{first.at}: {first.message}", self.faults)

    def keys(self, entries: Map, must: Collection[str], may: Collection[str], where: str) -> None:
        """Whether all keys are there that must be, and no others than those that may."""
        for key in entries:
            if key not in must and key not in may:
                self.fault(key, f"{where} has the unknown key {key}")
        for key in must:
            if key not in entries:
                self.fault(entries, f"{where} has no {key}")

    def mapping(self, value: object, where: object, name: str) -> Map:
        """The value as a mapping; `where` is the place to name if it has none."""
        if isinstance(value, Map):
            return value
        self.fault(where if value is None else value, f"{name} must be a mapping")
        return Map()

    def text(self, entries: Map, key: str) -> str:
        """A field that is text; empty if it is not there."""
        value = entries.get(key, "")
        if isinstance(value, str):
            return str(value)
        self.fault(value, f"{key} must be text")
        return ""

    def texts(self, entries: Map, key: str) -> tuple[str, ...]:
        """A field that is a list of texts; empty if it is not there."""
        return tuple(str(item) for item in self.places(entries, key))

    def places(self, entries: Map, key: str) -> tuple[Str, ...]:
        """As `texts`, each with its place."""
        value = entries.get(key, Seq())
        if isinstance(value, Seq) and all(isinstance(item, Str) for item in value):
            return tuple(value)
        self.fault(value, f"{key} must be a list of texts")
        return ()

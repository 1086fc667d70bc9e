"""Letter types and leaves that files beside the mappings name: what letters are called, where they are addressed."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from converter.definitions import Definitions
from converter.issues import IssueLog, Severity, declare
from converter.routes import FILE as ROUTES
from converter.yamlfile import Map, Seq, fault, load

FILE = "names.yaml"
"""The file that says what letter types are called in Danish and English."""

UNKNOWN = declare(
    "LNT204",
    "name-of-nothing",
    Severity.ERROR,
    "there is no {what} {name}",
    why="The line has no effect: what it was meant for is called by its code, or is not found.",
    help="`medcom-fhir doctor` lists the letter types, `medcom-fhir explain TYPE` the leaves of one.",
)


def leaves_of(definitions: Definitions) -> Set[str]:
    """The paths of all leaves of all letters."""
    return {leaf for definition in definitions for leaf in definition.leaves}


def check(folder: Path, definitions: Definitions, log: IssueLog) -> None:
    """Report every letter type and leaf in these files that does not exist. Files that do not load are left alone."""
    names, routes = (load(folder / file) if (folder / file).is_file() else Map() for file in (FILE, ROUTES))
    for type_ in (*names, *_answering(routes)):
        if type_ not in definitions.types:
            log.issues.append(fault(UNKNOWN, type_, what="letter type", name=type_))
    leaves = leaves_of(definitions)
    for part in ("sender", "receiver", "key"):
        for leaf in _texts(routes.get(part)):
            if leaf not in leaves:
                log.issues.append(fault(UNKNOWN, leaf, what="leaf", name=leaf))


def _answering(routes: Map) -> Iterator[str]:
    """The letters that FHIR messages stand for."""
    rows = routes.get("fhir")
    for row in rows.values() if isinstance(rows, Map) else ():
        yield from _texts(row.get("letters")) if isinstance(row, Map) else ()


def _texts(value: Any) -> Iterator[str]:
    yield from (text for text in (value if isinstance(value, Seq) else [value]) if isinstance(text, str))

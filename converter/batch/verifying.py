"""Is the result of a run what the ledger says? Everything is counted and hashed again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from converter.batch.chunk import State
from converter.batch.ledger import Ledger, Part
from converter.batch.protocol import DEAD, FILES, MANIFEST, PARTS, SUCCESS, Seen, sha256_of
from converter.batch.running import manifest
from converter.issues import IssueLog, Location, Severity, declare

INCOMPLETE = declare(
    "BAT022",
    "run-incomplete",
    Severity.ERROR,
    "the run has not been completed",
    why="Messages are missing; the files that are there may not be the last word.",
    help="Go on with `batch resume`.",
)
DIFFERS = declare(
    "BAT023",
    "result-differs",
    Severity.ERROR,
    "not what the ledger says: {what}",
    why="The file was changed, cut or removed after it was written.",
    help="Do not use it. Restore the folder from a copy, or start a new run.",
)
STRANGER = declare(
    "BAT024",
    "file-of-no-run",
    Severity.WARNING,
    "the file belongs to no part of the run",
    why="Whoever reads whole folders takes it for output; the manifest does not name it.",
    help="Remove it if you did not put it there for a reason.",
)
UNBALANCED = declare(
    "BAT025",
    "sums-do-not-balance",
    Severity.ERROR,
    "{counted} came in, {found} are accounted for as {state}",
    why="A message is missing or counted twice, so the result cannot be trusted.",
    help="Report it with the version; start a new run.",
)


def verify(folder: Path, log: IssueLog, elsewhere: Mapping[str, Seen] | None = None) -> dict[str, int]:
    """Recount, rehash and compare; findings are added to the log. Returns the sums.

    `elsewhere`: what stands where a run on Spark has put its data, if that is not its folder.
    """
    elsewhere = elsewhere or {}
    ledger = Ledger(folder, read_only=True)
    try:
        totals = ledger.totals()
        if not ledger.get("complete"):
            log.add(INCOMPLETE, Location(str(folder)))
        else:
            _ends(folder, ledger, totals, log)
        lines: Counter[str] = Counter()
        known = set()
        for part in ledger.parts():
            known.add(part.name)
            lines[part.kind] += part.lines if part.kind in ("part", "dead") else 1
            _file(folder, part, elsewhere, log)
        _sums(folder, ledger, totals, lines, log)
        for name in (*_strangers(folder, known), *sorted(set(elsewhere) - known)):
            # Spark writes a file for a part without a line; the manifest does not name it.
            if name not in elsewhere or elsewhere[name][2]:
                log.add(STRANGER, Location(str(folder / name) if name not in elsewhere else name))
    finally:
        ledger.close()
    return totals


def _file(folder: Path, part: Part, elsewhere: Mapping[str, Seen], log: IssueLog) -> None:
    at = Location(part.name if ":/" in part.name else str(folder / part.name))
    try:
        digest, size, lines = elsewhere.get(part.name) or sha256_of(folder / part.name)
    except OSError as error:
        log.add(DIFFERS, at, what=error.strerror or "cannot be read")
        return
    if (digest, size) != (part.sha256, part.size):
        log.add(DIFFERS, at, what=f"{size} bytes of other content instead of {part.size}")
    elif part.kind in ("part", "dead") and lines != part.lines and not part.name.endswith(".parquet"):
        log.add(DIFFERS, at, what=f"{lines} lines instead of {part.lines}")


def _ends(folder: Path, ledger: Ledger, totals: dict[str, int], log: IssueLog) -> None:
    """Manifest and mark of success."""
    try:
        stored: Any = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        stored = None
    if stored != manifest(ledger, totals):
        log.add(DIFFERS, Location(str(folder / MANIFEST)), what="missing or changed")
    if not (folder / SUCCESS).is_file():
        log.add(DIFFERS, Location(str(folder / SUCCESS)), what="missing")


def _sums(folder: Path, ledger: Ledger, totals: dict[str, int], lines: Counter[str], log: IssueLog) -> None:
    at = Location(str(folder))
    accounted = sum(totals[state] for state in State)
    checks = [("any state", totals["in"], accounted), ("dead letters", ledger.dead_lines(), lines["dead"])]
    # Files are named after their content, so that equal messages share one.
    if not lines["file"]:
        checks.append(("outputs", totals[State.OK], lines["part"]))
    for state, counted, found in checks:
        if counted != found:
            log.add(UNBALANCED, at, counted=counted, found=found, state=state)


def _strangers(folder: Path, known: set[str]) -> Iterator[str]:
    for top in (PARTS, DEAD, FILES):
        for path in sorted((folder / top).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name not in known:
                yield name

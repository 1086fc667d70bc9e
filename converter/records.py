"""What a run leaves beside its outputs: the ledger file, the sidecar of kept values, the state store.

Only the sidecar holds values of messages; ledger and state hold places, rules, ids and parties.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from converter.errors import SinkError
from converter.issues import Location
from converter.ledger import Entry, Ledger
from converter.letter import Value
from converter.sinks import AtomicFile, OutputRefusedError, write_file, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from converter.engine import Outcome


class LedgerFile:
    """`--ledger FILE`: JSON lines, one for a message and then one for each of its source leaves. No values.

    The file appears when the run is complete.
    """

    def __init__(self, path: Path, *, force: bool) -> None:
        self._file = AtomicFile(path, force=force)

    def add(self, display: str, outcome: Outcome, locate: Callable[[str], Location]) -> None:
        """Write the lines of a message; `locate` says where in the input a leaf stands."""
        if outcome.ledger is None:
            return
        lines = ledger_lines(display, outcome, outcome.ledger, locate)
        self._file.write(
            "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode(errors="replace")
        )

    def finish(self) -> None:
        """Give the file its name."""
        self._file.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._file.abandon()


def ledger_lines(
    display: str, outcome: Outcome, ledger: Ledger, locate: Callable[[str], Location]
) -> Iterator[dict[str, Any]]:
    """The lines of a message as plain data: itself, then its leaves in the order of the ledger."""
    yield {
        "message": outcome.message,
        "input": display,
        "type": outcome.type,
        "version": outcome.version,
        "leaves": ledger.leaves,
        "totals": ledger.totals(),
        "target_leaves": outcome.target_leaves,
        "defaulted": [{"rule": e.rule, "target": e.target, "loss": e.loss} for e in ledger.defaulted],
    }
    for entry in ledger.entries:
        yield _leaf_line(outcome.message, entry, locate(entry.leaf))


def _leaf_line(message: str, entry: Entry, at: Location) -> dict[str, Any]:
    return {
        "message": message,
        "path": entry.leaf,
        "line": at.line,
        "column": at.column,
        "disposition": str(entry.disposition),
        "rule": entry.rule,
        "target": entry.target,
        "loss": entry.loss,
    }


# The sidecar

_SIDECAR = "medcom-fhir sidecar 1"


class Sidecar:
    """`--sidecar FILE`: the values that a mapping keeps because the target has no place for them, by message and leaf.

    Mode 0600. What an earlier run kept is read first and handed to the way back; what this run keeps is added.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kept: dict[str, dict[str, Value]] = _load_sidecar(path)
        self._changed = False

    def add(self, message: str, kept: Mapping[str, Value]) -> None:
        """Keep the values of a message, in the place of those that an earlier run of the same direction kept."""
        if not kept:
            return
        # The way there keeps leaves of the letter, the way back JSON pointers, under the one id of the message.
        pointers = any(leaf.startswith("/") for leaf in kept)
        before = self.kept.get(message, {})
        after = {leaf: value for leaf, value in before.items() if leaf.startswith("/") != pointers} | dict(kept)
        if after != before:
            self.kept[message] = after
            self._changed = True

    def finish(self) -> None:
        """Write the file if anything was added."""
        if not self._changed:
            return
        document = {"format": _SIDECAR, "messages": dict(sorted(self.kept.items()))}
        write_file(self._path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode(), force=True)


def _load_sidecar(path: Path) -> dict[str, dict[str, Value]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OutputRefusedError(f"cannot read {path}: {error.strerror}") from error
    try:
        document = json.loads(data)
        if document["format"] != _SIDECAR:
            raise ValueError
        return {
            message: {leaf: _value(stored) for leaf, stored in kept.items()}
            for message, kept in document["messages"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise OutputRefusedError(f"{path} is no sidecar file of this program") from None


def _value(stored: object) -> Value:
    """A value as JSON has it: text as it is, formatted text as a list of [format, characters]."""
    if isinstance(stored, str):
        return stored
    if not isinstance(stored, list) or not all(
        isinstance(run, list) and len(run) == 2 and all(isinstance(part, str) for part in run) for run in stored
    ):
        raise ValueError
    return tuple((run[0], run[1]) for run in stored)


# The state store

COLUMNS = (
    "type",
    "version",
    "envelope_id",
    "letter_id",
    "version_code",
    "sender",
    "receiver",
    "bundle_id",
    "message_header_id",
    "provenance_id",
    "group_id",
)
_STATE_VERSION = 1
_APPLICATION = 0x4D434648


class State:
    """`--state FILE`: an SQLite table of messages by their id: the ids of both sides, version code, parties, the latest
    Provenance, the group of letter and attachment. Nothing of a patient: only `COLUMNS` are stored.

    A message that comes again updates its row. Raises `OutputRefusedError` for a file that is something else and
    `SinkError` when the database cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise written(path, error) from error
        self._database = sqlite3.connect(path, timeout=10)
        try:
            self._open()
        except sqlite3.OperationalError as error:
            raise SinkError(f"cannot use {path}: {error}") from error
        except sqlite3.DatabaseError:
            raise OutputRefusedError(f"{path} is no state file of this program") from None

    def _open(self) -> None:
        application = self._database.execute("PRAGMA application_id").fetchone()[0]
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables:
            columns = ", ".join(f"{name} TEXT NOT NULL DEFAULT ''" for name in COLUMNS)
            self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._database.execute(f"PRAGMA user_version = {_STATE_VERSION}")
            self._database.execute(f"CREATE TABLE message (message TEXT PRIMARY KEY, {columns}) WITHOUT ROWID")
            self._database.commit()
        elif (application, version) != (_APPLICATION, _STATE_VERSION):
            raise sqlite3.DatabaseError

    def add(self, outcome: Outcome) -> None:
        """Store what is known of a message. Keys of `Outcome.ids` that are no column are left out."""
        ids = outcome.ids
        if not ids:
            return
        facts = {"type": outcome.type, "version": outcome.version, **ids}
        row = [str(facts.get(name) or "") for name in COLUMNS]
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        # What is not known this time (the group, on the way back) stays as an earlier run left it.
        kept = ", ".join(f"{n} = CASE WHEN excluded.{n} = '' THEN {n} ELSE excluded.{n} END" for n in COLUMNS)
        self._run(
            f"INSERT INTO message (message, {', '.join(COLUMNS)}) VALUES ({marks}) "
            f"ON CONFLICT (message) DO UPDATE SET {kept}",
            outcome.message,
            *row,
        )

    def _run(self, statement: str, *values: str) -> None:
        try:
            self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise SinkError(f"cannot write {self._path}: {error}") from error

    def finish(self) -> None:
        """Commit all that was added."""
        try:
            self._database.commit()
        except sqlite3.Error as error:
            raise SinkError(f"cannot write {self._path}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._database.close()

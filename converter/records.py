"""What a run leaves beside its outputs: the ledger file, the sidecar of kept values, the state store.

Only the sidecar holds values of messages; ledger and state hold places, rules, ids and parties, and the state store the
receipts that wait for others.
"""

from __future__ import annotations

import calendar
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from converter.errors import SinkError
from converter.issues import Location
from converter.ledger import Entry, Ledger
from converter.letter import Value
from converter.originals import COLUMNS, Original, Received
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

_STATE_VERSION = 2
_APPLICATION = 0x4D434648
_COLUMNS = ", ".join(f"{name} TEXT NOT NULL DEFAULT ''" for name in COLUMNS)
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM message"
# What is not known this time (the group, on the way back) stays as an earlier run left it.
_KEPT = ", ".join(f"{n} = CASE WHEN excluded.{n} = '' THEN {n} ELSE excluded.{n} END" for n in COLUMNS)
_TABLES = (
    "CREATE TABLE message (number INTEGER PRIMARY KEY, message TEXT NOT NULL, "
    f"{_COLUMNS}, UNIQUE (message, letter_id))",
    "CREATE INDEX message_by_letter ON message (letter_id, sender)",
    "CREATE INDEX message_by_envelope ON message (envelope_id, sender)",
    "CREATE TABLE receipt (message TEXT NOT NULL, letter_id TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, "
    "version TEXT NOT NULL, held TEXT NOT NULL, PRIMARY KEY (message, letter_id)) WITHOUT ROWID",
)


class State:
    """`--state FILE`: an SQLite table of messages by their id: the ids of both sides, version code, parties, the latest
    Provenance, the group of letter and attachment. Nothing of a patient: only `COLUMNS` are stored, and the receipts of
    these messages, until the others of one FHIR message have come (`Store`). Mode 0600.

    A message that comes again updates its row and is answered anew. `now` is the time of the conversions. Raises
    `OutputRefusedError` for a file that is something else and `SinkError` when the database cannot be written.
    """

    def __init__(self, path: Path, now: datetime | None = None) -> None:
        self._path, self._now = path, (now or datetime.now(UTC)).astimezone(UTC)
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
        if tables and (application != _APPLICATION or version not in (1, _STATE_VERSION)):
            raise sqlite3.DatabaseError
        self._database.execute("PRAGMA secure_delete = ON")
        if version == _STATE_VERSION:
            return
        if tables:
            self._database.execute("ALTER TABLE message RENAME TO first")
        self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
        for statement in _TABLES:
            self._database.execute(statement)
        if tables:  # a file of the first shape, which had one letter a message
            known = [row[1] for row in self._database.execute("PRAGMA table_info(first)")]
            names = ", ".join(known)
            self._database.execute(
                f"INSERT INTO message ({names}, converted) SELECT {names}, ? FROM first", (self._time,)
            )
            self._database.execute("DROP TABLE first")
        self._database.execute(f"PRAGMA user_version = {_STATE_VERSION}")
        self._database.commit()

    @property
    def _time(self) -> str:
        return self._now.isoformat(timespec="seconds")

    def add(self, outcome: Outcome) -> None:
        """Store what is known of the letters of a message. Keys of `Outcome.group` that are no column are left out."""
        for letter, ids in outcome.group:
            self._add(outcome.message, {"type": letter.type, "version": letter.version, **ids})

    def _add(self, message: str, ids: dict[str, str]) -> None:
        facts = {**ids, "converted": self._time}
        row = [str(facts.get(name) or "") for name in COLUMNS]
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        self._run(
            f"INSERT INTO message (message, {', '.join(COLUMNS)}) VALUES ({marks}) "
            f"ON CONFLICT (message, letter_id) DO UPDATE SET {_KEPT}",
            message,
            *row,
        )
        self._run(
            "DELETE FROM receipt WHERE message = ? AND letter_id = ?",
            str(facts.get("message_header_id") or ""),
            str(facts.get("letter_id") or ""),
        )

    # -- what receipts ask (Store)

    def forget(self, months: int) -> None:
        """Forget messages, and receipts of them, that were converted more than so many months ago."""
        years, month = divmod(self._now.year * 12 + self._now.month - 1 - months, 12)
        days = calendar.monthrange(years, month + 1)[1]
        before = self._now.replace(year=years, month=month + 1, day=min(self._now.day, days))
        self._run("DELETE FROM message WHERE converted < ?", before.isoformat(timespec="seconds"))
        self._run("DELETE FROM receipt WHERE message NOT IN (SELECT message_header_id FROM message)")

    def letters(self, header: str) -> list[Original]:
        """The letters of a FHIR message, in the order in which they were stored."""
        return self._found("message_header_id = ?", header)

    def named(self, letter: str, sender: str) -> list[Original]:
        """The letters with an id, of a sender."""
        return self._found("letter_id = ? AND sender = ?", letter, sender)

    def in_envelope(self, envelope: str, sender: str) -> list[Original]:
        """The letters of an interchange of a sender."""
        return self._found("envelope_id = ? AND sender = ?", envelope, sender)

    def _found(self, condition: str, *values: str) -> list[Original]:
        return [Original(*row) for row in self._run(f"{_SELECT} WHERE {condition} ORDER BY number", *values)]

    def receive(self, original: Original, receipt: Received) -> Received | None:
        """Note a receipt of a letter in the place of an earlier one, which is returned."""
        before = self.received(original)
        self._run(
            "INSERT OR REPLACE INTO receipt (message, letter_id, id, type, version, held) VALUES (?, ?, ?, ?, ?, ?)",
            original.message_header_id,
            original.letter_id,
            *astuple(receipt),
        )
        return before

    def received(self, original: Original) -> Received | None:
        """The receipt of a letter that was noted last."""
        rows = self._run(
            "SELECT id, type, version, held FROM receipt WHERE message = ? AND letter_id = ?",
            original.message_header_id,
            original.letter_id,
        )
        return Received(*rows[0]) if rows else None

    def _run(self, statement: str, *values: str) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
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

"""The ledger of a run: an SQLite file with the plan, one row a message, one row a part, one transaction a chunk."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from converter.batch.chunk import Raw, Row, State
from converter.batch.protocol import LEDGER, TEMPORARY, Written, passed
from converter.errors import InterchangeError, SinkError

_APPLICATION, _VERSION = 0x4D434642, 2
# Keys come first in each table: SQLite 3.40 takes others for damage in tables without row ids.
_SCHEMA = """
CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE source (
    n INTEGER PRIMARY KEY, path BLOB NOT NULL, name BLOB NOT NULL, display BLOB NOT NULL, explicit INTEGER NOT NULL,
    size INTEGER NOT NULL, mtime INTEGER NOT NULL, wave INTEGER NOT NULL);
CREATE TABLE chunk (
    source INTEGER NOT NULL, k INTEGER NOT NULL, attempt INTEGER NOT NULL, ended INTEGER NOT NULL,
    files INTEGER NOT NULL, messages INTEGER NOT NULL, figures TEXT NOT NULL,
    PRIMARY KEY (source, k, attempt)) WITHOUT ROWID;
CREATE TABLE part (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, source INTEGER NOT NULL, k INTEGER NOT NULL, attempt INTEGER NOT NULL,
    lines INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE msg (
    source INTEGER NOT NULL, piece INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    first INTEGER NOT NULL, k INTEGER NOT NULL, cid BLOB NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL,
    line INTEGER NOT NULL, attempt INTEGER NOT NULL, PRIMARY KEY (source, piece, ordinal)) WITHOUT ROWID;
CREATE TABLE earlier (
    source INTEGER NOT NULL, piece INTEGER NOT NULL, ordinal INTEGER NOT NULL, attempt INTEGER NOT NULL,
    state TEXT NOT NULL, code TEXT NOT NULL, PRIMARY KEY (source, piece, ordinal, attempt)) WITHOUT ROWID;
CREATE TABLE event (at TEXT NOT NULL, what TEXT NOT NULL);
"""


class Planned(NamedTuple):
    """A file of the plan, as it was when the run began; `wave`: with which look at a watched folder it came."""

    n: int
    path: str
    name: str
    display: str
    explicit: bool
    size: int
    mtime: int
    wave: int = 0


class Part(NamedTuple):
    """A file of the run's result."""

    name: str
    kind: str
    source: int
    k: int
    attempt: int
    lines: int
    size: int
    sha256: str


class Key(NamedTuple):
    """Which chunk: the first file of it, the how-many-th of that file, the attempt."""

    source: int
    k: int
    attempt: int = 1


class Committed(NamedTuple):
    """A chunk that is done: whether it is the last of its file, files of the plan done with it, messages, figures."""

    key: Key
    ended: int
    files: int
    messages: int
    figures: dict[str, Any]


class Ledger:
    """The ledger in a run folder. Raises `SinkError` when it cannot be written and `InterchangeError` for damage."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path = folder / LEDGER
        if not self.path.is_file():
            raise InterchangeError(f"{folder} holds no run that was begun; use `batch run`")
        with self._writing():
            self._database = _connected(self.path, "ro" if read_only else "rw")
        try:
            if not read_only:
                # FULL costs nothing at a transaction a chunk; NORMAL could lose the last ones with the power.
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = FULL")
                # Rows are only added during a run: a greater cache holds what nobody asks for, and grows.
                self._database.execute("PRAGMA cache_size = -256")
            if self._database.execute("PRAGMA application_id").fetchone() != (_APPLICATION,):
                raise InterchangeError(f"{self.path} is no ledger of this program")
            if self._database.execute("PRAGMA user_version").fetchone() != (_VERSION,):
                raise InterchangeError(f"{self.path} was written by another version of the program; use that one")
            if not read_only and self._database.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise InterchangeError(f"{self.path} is damaged; start a new run")
        except sqlite3.OperationalError as error:
            raise SinkError(f"cannot use {self.path}: {error}") from error
        except sqlite3.DatabaseError:
            raise InterchangeError(f"{self.path} is damaged; start a new run") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SinkError(f"cannot write {self.path}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise SinkError(f"cannot write {self.path}: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        with self._writing():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # -- the run -------------------------------------------------------------------------------------------------------

    def put(self, name: str, value: Any) -> None:
        """Store a fact about the run."""
        self._database.execute("INSERT OR REPLACE INTO run VALUES (?,?)", (name, json.dumps(value, sort_keys=True)))

    def get(self, name: str) -> Any:
        """A fact about the run; None if it is not stored."""
        row = self._database.execute("SELECT value FROM run WHERE name=?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def say(self, what: str) -> None:
        """Add to the record of what happened when. Never a value of a message."""
        with self._writing():
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._database.execute("INSERT INTO event VALUES (?,?)", (now, what))

    def plan(self, first: int = 0) -> Iterator[Planned]:
        """The files of the plan, in order."""
        for row in self._database.execute("SELECT * FROM source WHERE n>=? ORDER BY n", (first,)):
            n, path, name, display, explicit, *stamp = row
            yield Planned(n, os.fsdecode(path), _text(name), _text(display), bool(explicit), *stamp)

    def extend(self, files: Sequence[Planned]) -> None:
        """More files for the plan: the run is not complete until they are done."""
        with self.transaction():
            self._database.executemany(_PLAN, map(_row, files))
            self.put("complete", False)
        passed("plan extended")

    # -- chunks --------------------------------------------------------------------------------------------------------

    def done(self) -> dict[tuple[int, int], int]:
        """The chunks of the first attempt that are committed, and whether each is the last of its file."""
        rows = self._database.execute("SELECT source, k, ended FROM chunk WHERE attempt=1")
        return {(source, k): ended for source, k, ended in rows}

    def commit(
        self,
        key: Key,
        rows: Sequence[Raw],
        files: Sequence[Written],
        figures: dict[str, Any],
        *,
        ended: int = 0,
        sources: int = 0,
    ) -> None:
        """The transaction of a chunk: its messages, its parts, itself."""
        with self.transaction():
            new = len(rows) - (self._keep_earlier(rows) if key.attempt > 1 else 0)
            self._database.executemany(_MESSAGE.format(*key), rows)
            self._add_parts(key, files)
            text = json.dumps(figures, sort_keys=True)
            self._database.execute("INSERT INTO chunk VALUES (?,?,?,?,?,?,?)", (*key, ended, sources, new, text))
            passed("rows written")
        passed("committed")

    def commit_all(self, chunks: Iterable[Committed], rows: Iterable[Sequence[Any]], parts: Iterable[Part]) -> None:
        """The one transaction of a run that something else carried out: everything, or nothing.

        Rows are those of the table `msg` in the order of its columns.
        """
        with self.transaction():
            self._database.executemany("INSERT INTO msg VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
            self._database.executemany("INSERT INTO part VALUES (?,?,?,?,?,?,?,?)", parts)
            self._database.executemany(
                "INSERT INTO chunk VALUES (?,?,?,?,?,?,?)",
                [(*c.key, c.ended, c.files, c.messages, json.dumps(c.figures, sort_keys=True)) for c in chunks],
            )

    def _keep_earlier(self, rows: Sequence[Raw]) -> int:
        """Keep what an earlier attempt said of these messages; returns how many it knew."""
        return self._database.executemany(
            "INSERT INTO earlier SELECT source, piece, ordinal, attempt, state, code FROM msg "
            "WHERE source=? AND piece=? AND ordinal=?",
            [row[:3] for row in rows],
        ).rowcount

    def _add_parts(self, key: Key, files: Iterable[Written]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO part VALUES (?,?,?,?,?,?,?,?)",
            [(f.name, f.kind, *key, f.lines, f.size, f.sha256) for f in files],
        )

    # -- duplicates ----------------------------------------------------------------------------------------------------

    def duplicates(self) -> list[tuple[Key, list[int]]]:
        """The chunks with messages whose bytes came before in the input, in order, and the lines of these."""
        with self._writing():
            self._database.execute("CREATE INDEX IF NOT EXISTS msg_cid ON msg (cid)")
            if self._database.execute(f"{_TWICE} LIMIT 1").fetchone() is None:
                return []
            self._database.execute("CREATE INDEX IF NOT EXISTS msg_chunk ON msg (first, k, attempt)")
        chunks: dict[Key, list[int]] = {}
        for first, k, attempt, line in self._database.execute(_LATER):
            chunks.setdefault(Key(first, k, attempt), []).append(line)
        return sorted(chunks.items())

    def mark_lines(self, key: Key, lines: Sequence[int], old: str, new: Written) -> None:
        """The messages on these lines of a chunk's part are duplicates, and the part has become a shorter one."""
        gone = set(lines)
        with self.transaction():
            rows = self._database.execute(_OF_CHUNK, key).fetchall()
            kept = 0
            for source, piece, ordinal, line in rows:
                kept += line not in gone
                fate = (State.DUPLICATE, 0) if line in gone else (State.OK, kept)
                self._set(source, piece, ordinal, *fate)
            self._database.execute("DELETE FROM part WHERE name=?", (old,))
            self._add_parts(key, [new])
            passed("rows written")
        passed("committed")

    def mark_files(self) -> None:
        """Messages whose bytes came before are duplicates; their files have the same name, so nothing is written."""
        with self.transaction():
            self._database.execute(
                f"UPDATE msg SET state='duplicate' WHERE (source, piece, ordinal) IN (SELECT s, p, o FROM ({_NTH}))"
            )

    def _set(self, source: int, piece: int, ordinal: int, state: State, line: int) -> None:
        self._database.execute(
            "UPDATE msg SET state=?, line=? WHERE source=? AND piece=? AND ordinal=?",
            (str(state), line, source, piece, ordinal),
        )

    # -- retrying ------------------------------------------------------------------------------------------------------

    def attempts(self) -> int:
        """The number of the last attempt; 1 is the run itself."""
        return int(self._database.execute("SELECT max(attempt) FROM chunk").fetchone()[0] or 1)

    def failed(self, states: Sequence[str], code: str | None) -> dict[int, dict[int, frozenset[int]]]:
        """The pieces with messages of these states (and this code): by source, with the messages that are not."""
        found: dict[int, dict[int, frozenset[int]]] = {}
        marks = ",".join("?" * len(states))
        chosen = f"state IN ({marks}) AND (? IS NULL OR code = ?)"
        rows = self._database.execute(
            f"SELECT DISTINCT source, piece FROM msg WHERE {chosen} ORDER BY source, piece", (*states, code, code)
        ).fetchall()
        for source, piece in rows:
            others = self._database.execute(
                f"SELECT ordinal FROM msg WHERE source=? AND piece=? AND NOT ({chosen})",
                (source, piece, *states, code, code),
            )
            found.setdefault(source, {})[piece] = frozenset(ordinal for (ordinal,) in others)
        return found

    # -- sums ----------------------------------------------------------------------------------------------------------

    def totals(self) -> dict[str, int]:
        """How many messages came in, and how many have which state; all states, zero too."""
        counted = ", ".join(f"count(*) FILTER (WHERE state = '{state}')" for state in State)
        counts = self._database.execute(f"SELECT {counted} FROM msg").fetchone()
        came = self._database.execute("SELECT coalesce(sum(messages), 0) FROM chunk").fetchone()[0]
        return {"in": came, **dict(zip(map(str, State), counts, strict=True))}

    def progress(self) -> tuple[int, int]:
        """How many files of the plan are done, and how many there are."""
        done = self._database.execute("SELECT coalesce(sum(files), 0) FROM chunk WHERE attempt=1").fetchone()[0]
        return done, self._database.execute("SELECT count(*) FROM source").fetchone()[0]

    def codes(self) -> dict[str, int]:
        """The dead and refused messages by the code that says why."""
        rows = self._database.execute(
            "SELECT code, count(*) FROM msg WHERE state IN ('dead', 'refused') GROUP BY code ORDER BY code"
        )
        return dict(rows)

    def dead_lines(self) -> int:
        """How many dead letters there must be: one an attempt that failed."""
        current = "SELECT count(*) FROM msg WHERE state IN ('dead', 'refused')"
        before = "SELECT count(*) FROM earlier WHERE state IN ('dead', 'refused')"
        return int(self._database.execute(f"SELECT ({current}) + ({before})").fetchone()[0])

    def figures(self) -> Iterator[dict[str, Any]]:
        """The figures of the chunks of the run itself, in order."""
        for (text,) in self._database.execute("SELECT figures FROM chunk WHERE attempt=1 ORDER BY source, k"):
            yield json.loads(text)

    def parts(self, kind: str | None = None) -> Iterator[Part]:
        """The files of the result, or of one kind: parts and dead letters as the input is ordered, others by name."""
        rows = self._database.execute(
            "SELECT name, kind, source, k, attempt, lines, bytes, sha256 FROM part WHERE ? IN (kind, '') "
            "ORDER BY kind, "
            "CASE WHEN kind IN ('part', 'dead') THEN attempt END, CASE WHEN kind IN ('part', 'dead') THEN source END, "
            "CASE WHEN kind IN ('part', 'dead') THEN k END, name",
            (kind or "",),
        )
        for row in rows:
            yield Part(*row)

    def kinds(self) -> set[str]:
        """What kinds of files belong to the result."""
        return {kind for (kind,) in self._database.execute("SELECT DISTINCT kind FROM part")}

    def knows(self, name: str) -> bool:
        """Whether a file belongs to the result."""
        return self._database.execute("SELECT 1 FROM part WHERE name=?", (name,)).fetchone() is not None

    def part(self, key: Key, kind: str) -> Part | None:
        """The file of that kind of a chunk."""
        row = self._database.execute(
            "SELECT name, kind, source, k, attempt, lines, bytes, sha256 FROM part "
            "WHERE source=? AND k=? AND attempt=? AND kind=?",
            (*key, kind),
        ).fetchone()
        return None if row is None else Part(*row)

    def events(self) -> list[tuple[str, str]]:
        """What happened when."""
        return list(self._database.execute("SELECT at, what FROM event ORDER BY rowid"))


# What more than one message consists of: told by the index alone, and mostly nothing.
_TWICE = "SELECT cid FROM msg GROUP BY cid HAVING count(*) > 1"
# The messages with the bytes of an earlier one that has an output.
_NTH = (
    "SELECT source AS s, piece AS p, ordinal AS o, first, k, attempt, line FROM (SELECT *, row_number() OVER "
    "(PARTITION BY cid ORDER BY source, piece, ordinal) AS nth FROM msg "
    f"WHERE state IN ('ok', 'duplicate') AND cid IN ({_TWICE})) "
    "WHERE nth > 1 AND state = 'ok'"
)
_LATER = f"SELECT first, k, attempt, line FROM ({_NTH}) ORDER BY first, k, attempt, line"
_OF_CHUNK = (
    "SELECT source, piece, ordinal, line FROM msg WHERE first=? AND k=? AND attempt=? AND state='ok' ORDER BY line"
)


def create(folder: Path, settings: dict[str, Any], plan: Iterable[Planned]) -> None:
    """Write a ledger that holds what a run is to do. It appears whole: a run either has a plan or was never begun."""
    path = folder / TEMPORARY / LEDGER
    try:
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        database = _connected(path, "rw")
        database.executescript(f"PRAGMA application_id={_APPLICATION};PRAGMA user_version={_VERSION};BEGIN;{_SCHEMA}")
        database.executemany(_PLAN, map(_row, plan))
        database.execute("INSERT INTO run VALUES ('settings', ?)", (json.dumps(settings, sort_keys=True),))
        database.execute("COMMIT")
        database.close()
        passed("plan written")
        os.replace(path, folder / LEDGER)
        passed("plan named")
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise SinkError(f"cannot write {path}: {error}") from error


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", timeout=10, uri=True)
    database.isolation_level = None
    return database


_MESSAGE = (
    f"INSERT OR REPLACE INTO msg (first, k, attempt, {', '.join(Row._fields)}) VALUES ({{}},{{}},{{}},?,?,?,?,?,?,?)"
)
_PLAN = "INSERT INTO source VALUES (?,?,?,?,?,?,?,?)"


def _row(p: Planned) -> tuple[Any, ...]:
    return p.n, os.fsencode(p.path), _bytes(p.name), _bytes(p.display), p.explicit, p.size, p.mtime, p.wave


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")

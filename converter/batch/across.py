"""Letters and their attachments in different inputs of a run, joined by an index that is made while the run goes on.

All files of the plan are looked at once, as they are read to be converted: the name of what holds an object, or names
one, stands in its bytes. Nearly all inputs have neither and are converted at once. Chunks with one that has come again
when everything has been looked at; what decides about joining is written into a file of the run folder until then,
which goes when the run stops. It follows from the plan alone, and so does what becomes of each letter: it is the same
whatever the number of workers and however often the run was stopped. The objects themselves are read again when the
letter that names them is converted; those in archives, NDJSON and envelopes stand in a second such file.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from converter.batch.chunk import Convert, Piece
from converter.batch.ledger import Key, Planned
from converter.batch.options import Options, engine_for
from converter.batch.plan import CLOSED, Chunk, Chunks, is_container, splits, stamp
from converter.batch.protocol import TEMPORARY
from converter.batch.workers import Factory
from converter.errors import SinkError
from converter.issues import NOWHERE, IssueLog
from converter.joining import ALONE, NOT_JOINED, AttachmentTable, Facts, Found, Held, Naming, Partners
from converter.outcome import FHIR
from converter.sources import Input, Source, read

if TYPE_CHECKING:
    from converter.engine import Engine, Outcome
    from converter.letter import Letter

INDEX, OBJECTS = f"{TEMPORARY}/attachments.index", f"{TEMPORARY}/attachments.objects"
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE held (n INTEGER PRIMARY KEY, digest BLOB, type TEXT, facts TEXT, place TEXT);
CREATE TABLE object (id TEXT, held INTEGER, PRIMARY KEY (id, held)) WITHOUT ROWID;
CREATE TABLE naming (n INTEGER PRIMARY KEY, facts TEXT);
CREATE TABLE verdict (digest BLOB PRIMARY KEY, joined INTEGER NOT NULL) WITHOUT ROWID;
"""


@contextmanager
def across(folder: Path, options: Options) -> Iterator[Factory]:
    """What converts the inputs of a run, each with the attachments of all; the index is there as long as the context.

    Raises `SinkError` if it cannot be written. The chunks of the run must be those of `Looking`.
    """
    if options.to not in ("", FHIR):
        yield options
        return
    try:
        for name in (INDEX, OBJECTS):
            try:
                os.close(os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
            except OSError as error:
                raise _unwritten(folder, error) from error
        yield Joining(options, str(folder), secrets.token_bytes(32))
    finally:
        for name in (INDEX, OBJECTS):
            with suppress(OSError):
                (folder / name).unlink()


@dataclass(frozen=True, slots=True)
class Joining:
    """Makes what converts an input in a worker; `key` is that of the index, and stands in no file."""

    options: Options
    folder: str
    key: bytes

    def __call__(self) -> Convert:
        """What converts an input with the attachments of all inputs."""
        engine = engine_for(self.options)
        index, nobody = Index(Path(self.folder), engine), engine.partners()
        all_, asks = index.partners(self.key), concerned(engine.attachments)

        def outcomes(item: Input) -> Iterator[Outcome]:
            asked = asks(item.data)
            partners = all_ if asked else nobody
            for outcome in engine.convert(item.data, to=self.options.to or None, name=item.display, partners=partners):
                if outcome.is_partner and outcome.syntax != FHIR and outcome.letter is not None:
                    verdict = index.verdict(partners.digest(outcome.letter)) if asked else None
                    _settle(outcome, outcome.letter, verdict, partners)
                yield outcome
            partners.forget()

        return self.options.converting(engine, outcomes)


def concerned(table: AttachmentTable) -> Callable[[bytes], bool]:
    """What tells of an input whether it can hold objects or name some, so that others are asked.

    The name of the type that holds objects, or of the element that names one, stands in the bytes of each, in both
    syntaxes; XML with two bytes a character is taken for one of them.
    """
    within, wide = table.within.encode(), b"\0"
    others = any(within not in mark for mark in table.marks)  # else one look tells it

    def asks(data: bytes) -> bool:
        if not (within in data or wide in data[:4] or (others and table.marked(data))):
            return False
        return bool(table.letters) and data[:1] != b"{"

    return asks


def _settle(outcome: Outcome, letter: Letter, verdict: bool | None, partners: Partners) -> None:
    """Say what became of a letter with objects: it went with another letter, or nobody named it (None)."""
    outcome.joined = bool(verdict)
    if not verdict:
        log = IssueLog()
        log.add(ALONE if verdict is None else NOT_JOINED, partners.place(letter, outcome.name), type=outcome.type)
        outcome.issues += log.issues


class Looking(Chunks):
    """The chunks of a run, looked at as they are read, done or not, as they were when the run began.

    Those that are concerned are given as `later`, and once more when all inputs have been looked at.
    """

    def __init__(
        self, joining: Joining, plan: Callable[[], Iterator[Planned]], done: Mapping[tuple[int, int], int]
    ) -> None:
        super().__init__(plan(), done, joining.options.limits)
        self._joining, self._plan, self._engine = joining, plan, engine_for(joining.options)
        self._asks = concerned(self._engine.attachments)

    def __iter__(self) -> Iterator[Chunk]:
        given, later = dict[tuple[int, int], int](), set[tuple[int, int]]()
        with closing(Index(Path(self._joining.folder), self._engine, new=True)) as self._index:
            self._partners = self._index.partners(self._joining.key)
            for _, chunks in groupby(super().__iter__(), key=lambda chunk: chunk.key.source):
                now, again_here = dict[tuple[int, int], int](), False
                for chunk in chunks:
                    if not chunk.later:
                        now[chunk.key[:2]] = chunk.ended
                    elif chunk.pieces:
                        later.add(chunk.key[:2])
                        again_here = True
                    yield chunk
                if again_here:  # of most files nothing comes again, and the rest need not be held
                    given |= now
            self._index.decide(self._partners)
        sources = {source for source, _ in later}
        done = {key: ended for key, ended in self.done.items() if key[0] in sources}
        again = Chunks(iter(()), done | given, self.limits)
        for files in splits(self._plan()) if later else ():
            if files[0].n in sources:
                # Others, which could not be read before, have not been looked at.
                yield from (chunk for chunk in again.of(files) if chunk.key[:2] in later or chunk.ended == CLOSED)
        self.unread += [issue for issue in again.unread if issue not in self.unread]

    def look(self, file: Planned, pieces: Sequence[Piece]) -> bool:
        """Take the letters that hold or name objects."""
        asks = self._asks
        found = [piece.item for piece in pieces if asks(piece.item.data)]
        for item in found if file.size >= 0 else ():
            self._take(file, item)
        return bool(found)

    def looked_over(self, files: Sequence[Planned]) -> Iterator[Chunk]:
        """Take those of files that are done; what is wrong with a file was told when it was converted."""
        for file in files:
            if file.size >= 0 and self.is_unchanged(file):
                for piece in Chunks(iter(()), {}, self.limits).pieces(file):
                    self.look(file, [piece])
            yield Chunk(Key(file.n, 0), later=True)

    def _take(self, file: Planned, item: Input) -> None:
        """Note the letters of an input that hold or name objects."""
        place, index, partners = None, self._index, self._partners
        for number, (letter, broken) in enumerate(self._engine.holders(item.data, item.display)):
            place = place or index.placed(file, item)
            fetch = Fetch(index, replace(place, number=number))
            index.put(partners.held(letter, broken, item.display, fetch), fetch.place)
        for letter in _naming(self._engine, item):
            index.note(partners.naming(letter))


def _unwritten(folder: Path, error: OSError) -> SinkError:
    return SinkError(f"cannot write in {folder}: {error.strerror or type(error).__name__}")


def _naming(engine: Engine, item: Input) -> Iterator[Letter]:
    """The letters of an input that name objects and become FHIR messages of their own.

    Others are not read: the name of the element that names an object stands in the bytes of each, in both syntaxes.
    """
    table = engine.attachments
    if table.within.encode() not in item.data:
        return
    for outcome in engine.messages(item.data, name=item.display):
        letter = outcome.letter
        if letter is None or letter.refused or letter.type in table.letters or not table.named(letter):
            continue
        mapping = engine.mappings.for_letter(letter.type)
        if mapping is not None and mapping.document.answers is None:
            yield letter


@dataclass(frozen=True, slots=True)
class Place:
    """Where a letter with objects can be read again: a file as it was, or a stretch of the file of objects."""

    path: str
    name: str
    display: str
    size: int
    mtime: int
    start: int = -1
    number: int = 0


@dataclass(frozen=True, slots=True)
class Fetch:
    """Reads a letter with objects again; None where its file is not what it was."""

    index: Index
    place: Place

    def __call__(self) -> Found:
        """The letter, and whether it has errors."""
        place = self.place
        data = self.index.again(place)
        found = self.index.engine.holders(data, place.display) if data is not None else ()
        return next((pair for number, pair in enumerate(found) if number == place.number), None)


class Index:
    """The index of a run. Raises `SinkError` if it cannot be written."""

    def __init__(self, folder: Path, engine: Engine, *, new: bool = False) -> None:
        self._folder, self.engine = folder, engine
        if new:
            with self._writing():
                self._database.executescript(_SCHEMA + "BEGIN;")

    @cached_property
    def _database(self) -> sqlite3.Connection:
        # Opened when it is asked first: no process may use what was opened by another.
        return sqlite3.connect(self._folder / INDEX, isolation_level=None)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SinkError(f"cannot write in {self._folder}: {error}") from error

    def partners(self, key: bytes) -> Partners:
        """The letters with objects of the run, whose digests have this key."""
        return Partners(self.engine.attachments, self.engine.limits.joined, self, key)

    # -- making it

    def put(self, held: Held, place: Place | None = None) -> None:
        """Take a letter with objects that can be read again at this place."""
        facts = [held.facts.parties.hex(), held.facts.patient.hex(), *held.facts[2:]]
        row = (held.digest, held.type, json.dumps(facts), json.dumps(asdict(place)) if place else "")
        with self._writing():
            n = self._database.execute("INSERT INTO held VALUES (NULL, ?, ?, ?, ?)", row).lastrowid
            ids = {identifier for identifier, _ in held.facts.objects} - {""}
            self._database.executemany("INSERT INTO object VALUES (?, ?)", [(identifier, n) for identifier in ids])

    def note(self, naming: Naming) -> None:
        """Take a letter that names objects."""
        facts = json.dumps([list(naming.references.items()), naming.parties.hex(), naming.patient.hex()])
        with self._writing():
            self._database.execute("INSERT INTO naming VALUES (NULL, ?)", (facts,))

    def placed(self, file: Planned, item: Input) -> Place:
        """Where an input can be read again; what would have to be unpacked for it goes into the file of objects."""
        if item.envelope is None and not is_container(file.name):
            return Place(file.path, file.name, item.display, file.size, file.mtime)
        path = self._folder / OBJECTS
        try:
            with path.open("ab") as objects:
                start = objects.tell()
                objects.write(item.data)
        except OSError as error:
            raise _unwritten(self._folder, error) from error
        return Place(str(path), "", item.display, len(item.data), 0, start)

    def decide(self, partners: Partners) -> None:
        """Work out what becomes of every letter with objects; nothing more can be taken then."""
        with self._writing():
            for (text,) in self._database.execute("SELECT facts FROM naming ORDER BY n"):
                references, parties, patient = json.loads(text)
                naming = Naming(dict(references), bytes.fromhex(parties), bytes.fromhex(patient))
                joined = {d.held.digest for d in partners.decide(naming) if d.held is not None and d.fault is None}
                self._database.executemany(
                    "INSERT INTO verdict VALUES (?, ?) ON CONFLICT DO UPDATE SET joined = max(joined, excluded.joined)",
                    [(digest, digest in joined) for digest in partners.named],
                )
                partners.forget()
            self._database.execute("COMMIT")

    # -- asking it

    def holding(self, identifier: str) -> Iterable[Held]:
        """The letters that hold an object of this id, in the order of the plan."""
        rows = self._database.execute(
            "SELECT digest, type, facts, place FROM held JOIN object ON held = n WHERE id = ? ORDER BY n", (identifier,)
        ).fetchall()
        for digest, type_, facts, place in rows:
            parties, patient, broken, impersonal, objects, size = json.loads(facts)
            known = tuple((one, full) for one, full in objects)
            found = Facts(bytes.fromhex(parties), bytes.fromhex(patient), broken, impersonal, known, size)
            yield Held(type_, NOWHERE, digest, found, Fetch(self, Place(**json.loads(place))))

    def verdict(self, digest: bytes) -> bool | None:
        """Whether a letter with objects was joined; None if no letter names an object of it."""
        row = self._database.execute("SELECT joined FROM verdict WHERE digest = ?", (digest,)).fetchone()
        return bool(row[0]) if row is not None else None

    def again(self, place: Place) -> bytes | None:
        """The bytes of an input; None if its file is not what it was."""
        try:
            if place.start >= 0:
                with Path(place.path).open("rb") as objects:
                    objects.seek(place.start)
                    return objects.read(place.size)
            if stamp(place.path) != (place.size, place.mtime):
                return None
        except OSError:
            return None
        source = Source(place.path, place.name, place.display, explicit=True)
        return b"".join(item.data for item in read(source, IssueLog(), self.engine.limits))

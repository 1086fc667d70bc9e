"""Pairs letters with the letters that hold their objects, across all inputs of one call, in whatever order they come.

All inputs are looked at twice: first for letters with objects, of which only the places are remembered, then to convert
them. The bytes of an object are read again when the letter that names it is converted, unless they are among the last
that were seen, so memory holds little more than one letter with its objects at a time. What cannot be read twice is
kept: standard input and pipes in memory, as they are while they are converted; members of archives, lines and contents
of envelopes that hold objects in a temporary file without a name.
"""

from __future__ import annotations

import hashlib
import secrets
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from converter.archives import is_archive
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.limits import Limits
from converter.outcome import FHIR
from converter.sources import Input, Source, read, sources

if TYPE_CHECKING:
    from converter.engine import Engine
    from converter.joining import Partners
    from converter.letter import Letter
    from converter.outcome import Outcome


SAME_ID = declare(
    "MAP052",
    "letter-id-twice",
    Severity.WARNING,
    "has type, sender and letter id of the letter at {place}, and says something else",
    why="A receiver that takes the second for a copy drops it. An error where their FHIR messages have one id too.",
    help="Ask the sender why two letters have one id.",
)


class LetterIds:
    """Tells of letters that share an id and are no copies. Keeps keyed digests and places, nothing to be read."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._seen: dict[bytes, tuple[bytes, str, str]] = {}

    def add(self, outcome: Outcome, line: int, log: IssueLog) -> None:
        """Compare a letter that was read with those before it; its envelope may be another one."""
        letter = outcome.letter
        if letter is None or outcome.syntax == FHIR or not letter.values.get("Letter.Identifier"):
            return
        own = self._digest([letter.type, *(letter.text(leaf) or "" for leaf in _IDENTITY)])
        leaves = [leaf for leaf in sorted(letter.values) if not leaf.startswith("Envelope.")]
        content = self._digest(text for leaf in leaves for text in (leaf, letter.text(leaf) or ""))
        at = next(iter(letter.locate("Letter.Identifier")), Location(outcome.name, line, 1))
        before, place, message = self._seen.setdefault(own, (content, f"{outcome.name}:{at.line}", outcome.message))
        if before != content:
            severity = Severity.ERROR if message == outcome.message else None
            log.add(SAME_ID, at, place=place, severity=severity)

    def _digest(self, texts: Iterable[str]) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=16)
        for text in texts:
            digest.update(text.encode(errors="surrogatepass") + b"\0")
        return digest.digest()


KEPT = 32 * 1024**2
"""How many bytes of letters with objects are kept between the two looks, at most."""
_IDENTITY = ("Sender.EANIdentifier", "Letter.Identifier")


def needed(paths: Sequence[str]) -> bool:
    """Whether letters and their objects could stand in different inputs; else one look at each is enough."""
    return len(paths) > 1 or any(Path(p).is_dir() or is_archive(p) or p.lower().endswith(".ndjson") for p in paths)


class Pairing:
    """The inputs of a call, looked at once: `partners` for the engine, `inputs` to convert them."""

    def __init__(
        self, engine: Engine, paths: Sequence[str], limits: Limits, advance: Callable[[], None] = lambda: None
    ) -> None:
        self._engine, self._paths, self._limits = engine, paths, limits
        self._held: dict[Source, tuple[list[Input], list[Issue]]] = {}
        self._spool: IO[bytes] | None = None
        self._kept: deque[_Fetch] = deque()
        self._size = 0
        self.partners: Partners = engine.partners()
        for source in sources(paths, IssueLog()):
            for item in self._first(source):
                self._look(source, item)
                advance()

    def inputs(self, log: IssueLog) -> Iterator[Input]:
        """All inputs in their order, as `sources.inputs` gives them."""
        for source in sources(self._paths, log):
            if source in self._held:
                items, issues = self._held[source]
                log.extend(issues)
                yield from items
            else:
                yield from read(source, log, self._limits)

    def _first(self, source: Source) -> Iterator[Input]:
        """The inputs of a file, the first time. What is wrong with them is told the second time."""
        if source.path != "-" and _is_file(source.path):
            yield from read(source, IssueLog(), self._limits)
            return
        log = IssueLog()
        items = list(read(source, log, self._limits))
        self._held[source] = items, log.issues
        yield from items

    def _look(self, source: Source, item: Input) -> None:
        """Note the letters with objects in an input, and how to come by its bytes again."""
        again: Callable[[], bytes] | None = None
        for number, found in enumerate(self._engine.holders(item.data, item.display)):
            again = again or self._again(source, item)
            fetch = _Fetch(self._engine, again, item.display, number)
            self.partners.add(*found, item.display, fetch)
            self._keep(fetch, found, len(item.data))

    def _keep(self, fetch: _Fetch, found: tuple[Letter, bool], size: int) -> None:
        """Keep a letter for a while: the letter that names its objects is often near, and mostly they are small."""
        fetch.found, fetch.size = found, size
        self._kept.append(fetch)
        self._size += size
        while self._size > KEPT:
            oldest = self._kept.popleft()
            self._size -= oldest.size
            oldest.found = None

    def _again(self, source: Source, item: Input) -> Callable[[], bytes]:
        if source in self._held:
            return lambda: item.data
        if item.envelope is None and not is_archive(source.name) and not source.name.lower().endswith(".ndjson"):
            return lambda: _bytes(source, self._limits)
        if self._spool is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - until the run ends
        spool = self._spool
        start = spool.seek(0, 2)
        spool.write(item.data)
        size = len(item.data)

        def spooled() -> bytes:
            spool.seek(start)
            return spool.read(size)

        return spooled


class _Fetch:
    """Reads a letter with objects again, and whether it has errors; None where it is not there any more."""

    def __init__(self, engine: Engine, again: Callable[[], bytes], name: str, number: int) -> None:
        self._engine, self._again, self._name, self._number = engine, again, name, number
        self.found: tuple[Letter, bool] | None = None
        self.size = 0

    def __call__(self) -> tuple[Letter, bool] | None:
        if self.found is not None:
            return self.found
        found = self._engine.holders(self._again(), self._name)
        return next((pair for number, pair in enumerate(found) if number == self._number), None)


def _is_file(path: str) -> bool:
    """Whether a file can be read again and gives the same: pipes and devices do not."""
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:
        return True  # told when it is read


def _bytes(source: Source, limits: Limits) -> bytes:
    return b"".join(item.data for item in read(source, IssueLog(), limits))

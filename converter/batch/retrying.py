"""Another attempt at the dead letters of a complete run, with the mappings of today. What was before is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from converter.batch.chunk import Piece, State
from converter.batch.ledger import Key, Ledger
from converter.batch.options import Options
from converter.batch.plan import PIECES, Chunk, Chunks, is_unchanged
from converter.batch.protocol import SUCCESS, sync_folder
from converter.batch.running import COMPLETE, Bounds, Ended, Progress, Run, opened, sweep
from converter.batch.workers import Factory
from converter.errors import InterchangeError

STATES = (State.DEAD, State.REFUSED)


def retry(
    folder: Path,
    jobs: int,
    progress: Progress,
    *,
    states: Sequence[State] = STATES,
    code: str | None = None,
    mappings: str | None = None,
    factory: Factory | None = None,
) -> Ended:
    """Convert the messages with these states, and this code if one is named, again.

    Mapping files may be others than those of the run: that is what one retries for. Raises `InterchangeError` if the
    run is not complete.
    """
    with opened(folder) as (ledger, stored):
        if not ledger.get("complete"):
            raise InterchangeError(f"{folder} is not complete; go on with `batch resume` first")
        if ledger.get("spark"):
            raise InterchangeError(f"{folder} was carried out on Spark; begin a run of its own for the dead letters")
        options = stored if mappings is None else replace(stored, mappings=mappings)
        if factory is None:
            options.prepare()
        failed = ledger.failed([str(state) for state in states], code)
        run = Run(folder, ledger, options, Bounds(), progress)
        if not failed:
            return run.ended(COMPLETE)
        ledger.say(f"retry of {sum(map(len, failed.values()))} inputs")
        sweep(folder, ledger)
        with suppress(FileNotFoundError):
            (folder / SUCCESS).unlink()
        sync_folder(folder)
        attempt = ledger.attempts() + 1
        chunks = _Again(ledger, options, failed, attempt)
        how = run.convert(chunks, run.job(factory, attempt), jobs)
        # Whatever stopped it, what is written down is a whole result.
        run.finish()
        return run.ended(how)


class _Again(Chunks):
    """The pieces that failed, in chunks of a later attempt."""

    def __init__(
        self, ledger: Ledger, options: Options, failed: Mapping[int, Mapping[int, frozenset[int]]], attempt: int
    ) -> None:
        super().__init__(ledger.plan(), {}, options.limits)
        self.failed, self.attempt = failed, attempt

    def __iter__(self) -> Iterator[Chunk]:
        chunk = None
        for piece in self._pieces():
            if chunk is None:
                chunk = Chunk(Key(piece.source, piece.number, self.attempt), files=0)
            chunk.pieces.append(piece)
            if len(chunk.pieces) >= PIECES:
                yield chunk
                chunk = None
        if chunk is not None:
            yield chunk

    def _pieces(self) -> Iterator[Piece]:
        """A file that has changed since the run is passed over: its messages are others now."""
        for file in self.plan:
            wanted = self.failed.get(file.n)
            if wanted is not None and is_unchanged(file):
                for piece in self.pieces(file):
                    if piece.number in wanted:
                        yield piece._replace(settled=wanted[piece.number])

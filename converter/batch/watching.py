"""Drop folders: what is put into the folders of a run is added to its plan, wave by wave, until somebody stops it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from converter.batch.ledger import Ledger, Planned
from converter.batch.plan import paths_of, planned
from converter.batch.protocol import SUCCESS, sync_folder
from converter.batch.running import COMPLETE, Bounds, Ended, Progress, Run, going_on
from converter.batch.workers import Factory
from converter.errors import InterchangeError
from converter.issues import IssueLog

# What programs call a file while they write it.
_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".swp", "~")
_Stamp = tuple[int, int]


def watch(
    folder: Path, jobs: int, bounds: Bounds, progress: Progress, every: float, *, factory: Factory | None = None
) -> Ended:
    """Go on with a run, then look every so many seconds for files that have come, until it is stopped.

    After each wave the result is whole: manifest and mark of success are those of all that came so far.
    """
    with going_on(folder, bounds, progress, factory) as run, run.signals():
        job, drop = run.job(factory), Drop(run.ledger)
        how = run.go(job, jobs)
        while how == COMPLETE and not run.stopped():
            if files := drop.look():
                with suppress(FileNotFoundError):
                    (folder / SUCCESS).unlink()
                sync_folder(folder)
                run.ledger.extend(files)
                run.planned += len(files)
                how = run.go(job, jobs)
            else:
                _wait(run, every)
        run.ledger.say(run.stop or how)
        return run.ended(run.stop or how)


def _wait(run: Run, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not run.stopped():
        time.sleep(min(left, 0.2))


class Drop:
    """The inputs of a run, looked at again and again."""

    def __init__(self, ledger: Ledger) -> None:
        self._arguments: Sequence[str] = ledger.get("settings")["inputs"]
        self._known: dict[str, _Stamp] = {}
        self._last: dict[str, _Stamp] = {}
        self._next = self._wave = 0
        for file in ledger.plan():
            self._known[file.path] = file.size, file.mtime
            self._next, self._wave = file.n + 1, file.wave

    def look(self) -> list[Planned]:
        """The files that are new, or others than they were, and have not changed since the look before.

        A file that somebody is still writing grows from one look to the next; the clocks of those who write are not
        asked.
        """
        seen = {file.path: file for file in self._files()}
        stamps = {path: (file.size, file.mtime) for path, file in seen.items()}
        fresh = {path: stamp for path, stamp in stamps.items() if self._known.get(path) != stamp}
        ready = [path for path, stamp in fresh.items() if self._last.get(path) == stamp]
        self._last = fresh
        if not ready:
            return []
        self._wave += 1
        found = [seen[path]._replace(n=n, wave=self._wave) for n, path in enumerate(ready, self._next)]
        self._next += len(found)
        self._known.update((path, stamps[path]) for path in ready)
        return found

    def _files(self) -> Iterator[Planned]:
        # The folder may be taken away and put back; that is no reason to stop.
        with suppress(InterchangeError):
            for file in planned(paths_of(self._arguments), IssueLog()):
                name = os.path.basename(file.path)
                if file.size >= 0 and not name.startswith(".") and not name.lower().endswith(_UNFINISHED):
                    yield file

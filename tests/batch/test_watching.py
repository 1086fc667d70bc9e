"""Drop folders: what comes is converted, and a watched run that is stopped anywhere goes on like any other."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.batch import protocol
from converter.batch.ledger import Ledger
from converter.batch.options import Options
from converter.batch.running import COMPLETE, TERMINATED, Bounds, Ended, begin, resume
from converter.batch.verifying import verify
from converter.batch.watching import Drop, watch
from converter.issues import IssueLog
from tests.batch import cheap, corpus
from tests.batch.test_batch import HERE, expected, lines_of


class Putting(cheap.Silent):
    """Puts the next thing into the folder when everything before it is done; stops the run when nothing is left."""

    def __init__(self, steps: list[Callable[[], object]], folder: Path) -> None:
        super().__init__()
        self.steps, self.folder, self.sums = steps, folder, list[int]()

    def whole(self, totals: dict[str, int], files: int, planned: int) -> None:
        assert (self.folder / "_SUCCESS").exists()
        self.sums.append(totals["in"])
        if self.steps:
            self.steps.pop(0)()
        else:
            os.kill(os.getpid(), signal.SIGTERM)


def started(run: Path, inputs: Path) -> None:
    inputs.mkdir()
    options = Options(validate=False, mappings=str(HERE / "mappings" / "letters"))
    begin(run, [str(inputs)], options, IssueLog(), watched=True)


def watched(run: Path, told: cheap.Silent, seconds: float = 120) -> Ended:
    return watch(run, 1, Bounds(seconds=seconds), told, 0.05, factory=cheap.factory)


def codes(run: Path) -> list[str]:
    log = IssueLog()
    verify(run, log)
    return [issue.code for issue in log]


def test_what_comes_is_converted_in_waves(tmp_path: Path) -> None:
    inputs, run = tmp_path / "in", tmp_path / "run"
    started(run, inputs)

    def other() -> None:
        corpus.zipped(inputs / "a.zip", range(3, 5))
        (inputs / "0000000.edi").write_bytes(corpus.letter(9))  # other content under a name that was read
        (inputs / "x.edi.tmp").write_bytes(b"half")
        (inputs / ".hidden").write_bytes(b"half")

    told = Putting([lambda: corpus.folder(inputs, range(3)), other, lambda: corpus.folder(inputs, range(5, 6))], run)
    end = watched(run, told)
    assert (end.how, end.totals["ok"], told.sums) == (TERMINATED, 7, [0, 3, 6, 7])
    assert lines_of(run) == [*expected(range(3)), *expected(range(9, 10)), *expected(range(3, 6))]
    assert codes(run) == []


def test_file_that_still_grows_is_left_until_it_is_whole(tmp_path: Path) -> None:
    inputs, run, whole = tmp_path / "in", tmp_path / "run", corpus.letter(1)
    started(run, inputs)
    ledger = Ledger(run)
    drop, looks = Drop(ledger), []
    for piece in (whole[:100], whole[100:300], whole[300:], b"", b""):
        with (inputs / "slow.edi").open("ab") as file:
            file.write(piece)
        looks.append([found.size for found in drop.look()])
    assert looks == [[], [], [], [len(whole)], []]
    ledger.close()


@pytest.mark.parametrize("point", ["plan extended", "renamed", "rows written", "committed"])
def test_watched_run_that_is_stopped_goes_on(point: str, tmp_path: Path) -> None:
    inputs, run = tmp_path / "in", tmp_path / "run"
    started(run, inputs)

    class Stopped(BaseException):
        pass

    def stop(passed: str) -> None:
        if passed == point and (run / "parts").exists() and armed:
            raise Stopped

    armed: list[bool] = []
    told = Putting(
        [lambda: corpus.folder(inputs, range(3)), lambda: armed.append(True) or corpus.folder(inputs, range(3, 6))], run
    )
    with protocol.watched(stop), pytest.raises(Stopped):
        watched(run, told)
    assert resume(run, 1, Bounds(), cheap.Silent(), factory=cheap.factory).how == COMPLETE
    corpus.folder(inputs, range(6, 7))
    assert watched(run, Putting([], run)).totals["ok"] == 7
    assert lines_of(run) == expected(range(7))
    assert codes(run) == []

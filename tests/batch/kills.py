"""The kill campaign: runs are killed (SIGKILL, the whole process group) at points of the write protocol, drawn
uniformly, resumed until they end, and compared with a run that nobody disturbed.

`make kill-campaign` runs it in full. A control that writes naively goes through the same harness and must fail.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.batch import protocol
from converter.batch.ledger import LEDGER
from converter.batch.options import Options
from converter.batch.plan import Chunks, paths_of, planned
from converter.batch.running import Bounds, begin, resume
from converter.batch.verifying import verify
from converter.issues import IssueLog
from tests.batch import cheap, corpus

_NOT_RESULT = (LEDGER, protocol.LOCK, protocol.METRICS)


# What is killed: a process of its own that begins or resumes one run.


def careful(inputs: Path, run: Path, *, real: bool) -> None:
    """The engine as it is."""
    if not (run / LEDGER).exists():
        begin(run, [str(inputs)], Options(validate=False), IssueLog())
    resume(run, 2, Bounds(), cheap.Silent(), factory=None if real else cheap.factory)


def naive(inputs: Path, run: Path, *, real: bool) -> None:
    """The control: appends to one file, and notes after each chunk how far it is. Passes the same points."""
    run.mkdir(exist_ok=True)
    note, output = run / "progress.txt", run / "all.ndjson"
    done = int(note.read_text(encoding="ascii")) if note.exists() else 0
    convert = cheap.factory()
    chunks = list(Chunks(planned(paths_of([str(inputs)]), IssueLog()), {}, Options().limits))
    for number, chunk in enumerate(chunks):
        if number < done:
            continue
        lines = [outcome.output or b"" for piece in chunk.pieces for outcome in convert(piece.item)]
        with output.open("ab") as file:
            protocol.passed("opened")
            for half in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
                file.write(b"".join(line + b"\n" for line in half))
                file.flush()
                protocol.passed("half written")
        protocol.passed("renamed")
        note.write_text(str(number + 1), encoding="ascii")
        protocol.passed("committed")


def _live(design: str, inputs: Path, run: Path, told: Path, *, at: int, real: bool) -> None:
    """Pass `at` points and be killed with all workers; with 0, count the points and end."""
    points = multiprocessing.Value("q", 0)

    def watch(point: str) -> None:
        with points.get_lock():
            points.value += 1
            if at and points.value == at:
                told.write_text(point, encoding="utf-8")
                os.killpg(0, signal.SIGKILL)

    with protocol.watched(watch):
        {"careful": careful, "naive": naive}[design](inputs, run, real=real)
    told.write_text(str(points.value), encoding="utf-8")


# The harness


@dataclass
class Campaign:
    """What happened: kills by the point where they struck, and what was wrong."""

    runs: int = 0
    kills: int = 0
    points: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """One line for the report."""
        return {
            "runs": self.runs,
            "kills": self.kills,
            "faults": len(self.faults),
            "points": dict(sorted(self.points.items())),
            "seconds": round(self.seconds, 1),
        }


def result_of(run: Path) -> dict[str, str]:
    """Every file of the result with the digest of its bytes. Whatever is in the folder counts, temporary files too."""
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file() and not path.name.startswith(_NOT_RESULT)
    }


def campaign(
    folder: Path,
    inputs: Path,
    *,
    kills: int,
    runs: int,
    seed: int,
    design: str = "careful",
    real: bool = False,
    tell: Callable[[str], object] = lambda _: None,
) -> Campaign:
    """Kill that often over that many runs, and compare each with an undisturbed one."""
    found, random_ = Campaign(), random.Random(seed)
    began = time.monotonic()
    points = int(_spawn(design, inputs, folder / "clean", folder, at=0, real=real))
    clean = result_of(folder / "clean")
    for number in range(runs):
        run = folder / f"run{number}"
        share = kills // runs + (number < kills % runs)
        # Where a kill strikes is drawn from the whole protocol: at + what earlier lives of this run have passed.
        struck = sorted(random_.sample(range(1, points), share))
        before = 0
        for at in struck:
            point = _spawn(design, inputs, run, folder, at=max(at - before, 1), real=real)
            before = at
            if point.isdigit():
                break
            found.kills += 1
            found.points[point] = found.points.get(point, 0) + 1
        _spawn(design, inputs, run, folder, at=0, real=real)
        found.runs += 1
        if result_of(run) != clean:
            found.faults.append(f"run {number}: other bytes than the undisturbed run")
        elif design == "careful":
            log = IssueLog()
            verify(run, log)
            found.faults += [f"run {number}: {issue.code} {issue.message}" for issue in log]
        shutil.rmtree(run)
        tell(json.dumps(found.as_json()))
    found.seconds = time.monotonic() - began
    return found


def _spawn(design: str, inputs: Path, run: Path, folder: Path, *, at: int, real: bool) -> str:
    """One life of a run. Returns the point where it was killed, or the number of points it passed."""
    told = folder / "told"
    told.unlink(missing_ok=True)
    # A fork and not a new interpreter: everything is imported already. Nobody calls this from several threads.
    child = os.fork()
    if not child:
        os.setsid()
        try:
            _live(design, inputs, run, told, at=at, real=real)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - nothing may get from here into the harness
            told.with_suffix(".fault").write_text(repr(error), encoding="utf-8")
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL) or not told.exists():
        raise AssertionError(f"a run ended with {status}: {told.with_suffix('.fault').read_text(encoding='utf-8')}")
    return told.read_text(encoding="utf-8")


def main() -> int:
    """The campaign from the command line; the last line is its result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", action="store_true", help="convert with the engine, not with something cheap")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Half of it in files, half in an archive, and some of the letters twice.
        half = options.messages // 2
        corpus.folder(folder / "in" / "files", range(half))
        corpus.zipped(folder / "in" / "more.zip", range(half - half // 20, options.messages - half // 20))
        where: dict[str, Any] = {"inputs": folder / "in", "seed": options.seed}
        (folder / "careful").mkdir()
        (folder / "naive").mkdir()
        done = campaign(
            folder / "careful", **where, kills=options.kills, runs=options.runs, real=options.real, tell=print
        )
        control = campaign(folder / "naive", **where, kills=8, runs=2, design="naive")
    print(*done.faults, sep="\n")
    print(json.dumps({"seed": options.seed, **done.as_json(), "control": control.as_json()}))
    return 0 if not done.faults and done.kills >= options.kills and control.faults else 1


if __name__ == "__main__":
    sys.exit(main())

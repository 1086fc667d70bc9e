"""One run of `batch` over a corpus, watched: processor time along the way and peak memory of each process, as JSON.

python -m benchmarks.endurance corpus/ run/ --jobs 2

A shared machine is half as fast again at one minute as at another, so a few letters are read and written in
straight-line Python every now and then (see `floor.py`): what the run takes in units of that is what may not grow.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import floor, generator
from benchmarks.corpus import TABLE
from converter.batch.options import Options
from converter.batch.running import Bounds, begin, resume
from converter.issues import Issue, IssueLog
from converter.limits import COLLECTOR

_TICK = os.sysconf("SC_CLK_TCK")
_EACH = 4  # chunks between two looks at the floor
_PROBE = 10  # letters of one look
_LITERAL = 12_000  # bytes of a Bundle that are no values of the letter


class Points:
    """How many messages, and what they took until then, in sixteen bytes: the memory of the run is what is watched."""

    def __init__(self) -> None:
        self.messages, self.seconds = array("q"), array("d")

    def add(self, messages: int, seconds: float) -> None:
        """One more."""
        self.messages.append(messages)
        self.seconds.append(seconds)

    def per_message(self, low: float, high: float) -> float:
        """Microseconds a message between two shares of the run; 0 for a run of too few looks."""
        last = self.messages[-1]
        inside = [n for n, messages in enumerate(self.messages) if low * last <= messages <= high * last]
        if len(inside) < 2:
            return 0.0
        first, end = inside[0], inside[-1]
        return (self.seconds[end] - self.seconds[first]) * 1e6 / max(self.messages[end] - self.messages[first], 1)


class Watching:
    """Notes after each chunk how many messages are done and what that took."""

    def __init__(self) -> None:
        self.points, self.floor = Points(), Points()
        self.peaks: dict[int, int] = {}
        self._letters = [generator.letter(number) for number in range(_PROBE)]
        self._probed = 0.0

    def advance(self, totals: dict[str, int], files: int, planned: int) -> None:
        """Look at this process and those below it: the one that loads what workers need, and the workers."""
        processes = [os.getpid()]
        for process in processes:  # grows meanwhile
            children = Path(f"/proc/{process}/task/{process}/children")
            processes += map(int, children.read_text(encoding="ascii").split())
        self.points.add(totals["in"], sum(map(_seconds, processes)) - self._probed)
        if len(self.points.messages) % _EACH == 1:
            self._probed += floor.in_python(self._letters, Path(os.devnull), _LITERAL)
            self.floor.add(_PROBE * (len(self.floor.messages) + 1), self._probed)
        self.peaks |= {number: _peak(number) for number in processes}

    def whole(self, totals: dict[str, int], files: int, planned: int) -> None:
        """Nothing."""

    def found(self, issues: Sequence[Issue]) -> None:
        """Nothing."""


def _seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _peak(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def watched(corpus: Path, run: Path, jobs: int, *, validate: bool) -> dict[str, Any]:
    """Carry out the run and tell about it."""
    options, telling = Options(validate=validate, sor=str(TABLE)), Watching()
    began = time.perf_counter()
    begin(run, [str(corpus)], options, IssueLog())
    end = resume(run, jobs, Bounds(), telling)
    seconds = time.perf_counter() - began
    telling.peaks[os.getpid()] = _peak(os.getpid())  # what the end of a run takes too
    main, *workers = sorted(telling.peaks.items(), key=lambda item: item[0] != os.getpid())
    tenths = {"first_tenth": (0.0, 0.1), "last_tenth": (0.9, 1.0)}
    return {
        "totals": end.totals,
        "jobs": jobs,
        "validated": validate,
        "seconds": round(seconds, 2),
        "cpu_us": round(telling.points.seconds[-1] * 1e6 / end.totals["in"], 1),
        **{f"{name}_us": round(telling.points.per_message(*share), 1) for name, share in tenths.items()},
        **{f"{name}_floor_us": round(telling.floor.per_message(*share), 1) for name, share in tenths.items()},
        "peak_mb": {"main": main[1], "workers": [peak for _, peak in workers]},
    }


def main() -> None:
    """One run; the last line is what was seen."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-validate", action="store_true")
    asked = parser.parse_args()
    gc.set_threshold(*COLLECTOR)  # as the command does
    print(json.dumps(watched(asked.corpus, asked.run, asked.jobs, validate=not asked.no_validate)))


if __name__ == "__main__":
    main()

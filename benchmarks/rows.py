"""Rows, their gates, and the clock: all rows in one interleaved run, medians, ratios to an anchor of the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

Clock = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One line of the table. `run` does the work once for `messages` messages.

    `anchor` names the row that the ratio is taken to (how many times slower the anchor is). `gate` returns what is
    wrong with the work, or an empty string: it runs before the clock starts. `peer` marks other people's code. `target`
    and `target_rate` are what the project aims at, as a ratio and in messages a second; they are shown, not asserted.
    """

    stage: str
    name: str
    run: Callable[[], object]
    messages: int
    anchor: str = ""
    gate: Callable[[], str] = str
    peer: bool = False
    target: float = 0.0
    target_rate: float = 0.0


@dataclass
class Result:
    """The times of one row, in microseconds a message, one a round."""

    row: Row
    times: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median of the rounds, in microseconds a message."""
        return statistics.median(self.times)

    @property
    def spread(self) -> float:
        """Greatest less smallest time, as a share of the median."""
        return (max(self.times) - min(self.times)) / self.median

    @property
    def rate(self) -> float:
        """Messages a second on one core."""
        return 1e6 / self.median


def failing(rows: Iterable[Row]) -> dict[str, str]:
    """The rows whose gate does not open, and why."""
    found = {}
    for row in rows:
        if problem := row.gate():
            found[row.name] = problem
    return found


def measure(rows: Sequence[Row], rounds: int, clock: Clock = time.process_time) -> list[Result]:
    """Run all rows in every round, each round starting with another row, so that noise meets all alike."""
    results = [Result(row) for row in rows]
    for result in results:
        result.row.run()
    for round_ in range(rounds):
        start = round_ % len(results) if results else 0
        for result in results[start:] + results[:start]:
            begin = clock()
            result.row.run()
            result.times.append((clock() - begin) * 1e6 / result.row.messages)
    return results


def ratio(result: Result, results: Iterable[Result]) -> float | None:
    """How many times as long the anchor takes; None without an anchor in this run."""
    anchor = next((r for r in results if r.row.name == result.row.anchor), None)
    return anchor.median / result.median if anchor else None

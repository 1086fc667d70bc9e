"""The benchmark command: gates, one interleaved run, a table. Writes nothing unless `-o` names a file."""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import platform
import pstats
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from benchmarks.corpus import corpus
from benchmarks.rows import Result, Row, failing, measure, ratio
from benchmarks.startup import startup
from converter.limits import COLLECTOR


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the interleaved run (default 7)")
    parser.add_argument("--messages", type=int, default=99, help="messages a pass (default 99)")
    parser.add_argument("--only", default="", help="only rows whose stage or name holds this text, and their anchors")
    parser.add_argument("--wall", action="store_true", help="wall time instead of processor time")
    parser.add_argument("--no-startup", action="store_true", help="leave out the start-up row")
    parser.add_argument("--profile", action="store_true", help="print the ten hottest functions of each own row chosen")
    parser.add_argument("-o", "--output", type=Path, help="write the figures to this file as JSON")
    return parser.parse_args(arguments)


def all_rows(messages: int) -> list[Row]:
    """Every row, in the order of the table."""
    from benchmarks import attachments, conversion, legacy, reading, types, validation
    from benchmarks.conversion import Parts

    letters = corpus(messages)
    parts = Parts.load()
    behind = [*conversion.rows(letters, parts), *types.rows(messages, parts), *attachments.rows(parts)]
    behind += validation.rows(messages)
    return [*reading.rows(letters, parts.plain.definitions), *legacy.rows(letters), *behind]


def chosen(rows: Sequence[Row], only: str) -> list[Row]:
    """The rows that a text picks, and the anchors that their ratios need."""
    picked = {row.name for row in rows if only.lower() in f"{row.stage} {row.name}".lower()}
    picked |= {row.anchor for row in rows if row.name in picked}
    return [row for row in rows if row.name in picked]


def table(results: Sequence[Result]) -> str:
    """The table: microseconds and messages a second, spread, how many times faster than the anchor, and the aim."""
    lines = [f"{'stage':10} {'row':58} {'µs/message':>11} {'messages/s':>11} {'spread':>7} {'ratio':>8}  to"]
    for result in results:
        factor = ratio(result, results)
        row = result.row
        aims = [f"aim {row.target:g}x"] if row.target else []
        aims += [f"aim {row.target_rate:,.0f}/s"] if row.target_rate else []
        to = " ".join([row.anchor if factor else "", *(f"({aim})" for aim in aims)]).strip()
        times = f"{factor:.2f}x" if factor else ""
        name = f"  {row.name}" if row.peer else row.name
        numbers = f"{result.median:11.1f} {result.rate:11,.0f} {result.spread:6.0%} {times:>8}"
        lines.append(f"{row.stage:10} {name:58} {numbers}  {to}".rstrip())
    return "\n".join(lines)


def hottest(row: Row, number: int = 10) -> str:
    """The functions in which a row spends most of its own time."""
    profile = cProfile.Profile()
    profile.runcall(row.run)
    stats = pstats.Stats(profile).sort_stats("tottime")
    total = stats.total_tt or 1.0
    lines = [f"\n{row.stage}: {row.name}"]
    for function in stats.fcn_list[:number]:
        path, line, name = function
        _, calls, own, _, _ = stats.stats[function]
        lines.append(f"  {own / total:6.1%} {calls:9,} calls  {name} ({Path(path).name}:{line})")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks. Returns 1 if a gate does not open."""
    # pydifact warns once a segment that it has no directory for MedCom's messages.
    warnings.filterwarnings("ignore", module="pydifact")
    gc.set_threshold(*COLLECTOR)
    asked = options(arguments)
    rows = chosen(all_rows(asked.messages), asked.only)
    closed = failing(rows)
    for name, problem in closed.items():
        print(f"gate closed, no figure: {name}: {problem}", file=sys.stderr)
    open_rows = [row for row in rows if row.name not in closed]
    if asked.profile:
        print("\n".join(hottest(row) for row in open_rows if not row.peer))
        return 1 if closed else 0
    results = measure(open_rows, asked.rounds, time.perf_counter if asked.wall else time.process_time)
    clock = "wall" if asked.wall else "processor"
    run = f"{asked.messages} messages, {asked.rounds} rounds, medians, {clock} time, one core"
    print(f"{run}, Python {platform.python_version()}\n")
    print(table(results))
    from benchmarks.validation import beside_official

    print(f"\n{beside_official(results)}".rstrip())
    started = {} if asked.no_startup else startup(asked.rounds)
    if started:
        (bare, least), (ours, most) = started.items()
        print(f"\nstart-up   {ours}: {most:.0f} ms, {most - least:.0f} ms more than {bare} ({least:.0f} ms)")
    if asked.output:
        figures = {r.row.name: {"us": r.median, "spread": r.spread, "ratio": ratio(r, results)} for r in results}
        asked.output.write_text(json.dumps({"rows": figures, "startup_ms": started}, indent=2) + "\n", encoding="utf-8")
    return 1 if closed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make conformance CMD='other-converter {in} {out}'`: what a converter does with the fixtures, as a table.

Exit code 0 if everything is as the fixtures have it, 1 if not, 2 for a command that cannot be run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from converter.engine import Engine
from tests.conformance import command, items, run, table


def main(arguments: Sequence[str]) -> int:
    """Run the pack with a command."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("command", help="CMD: a command line with {in} and {out}; {table} is the organisation table")
    parser.add_argument("--only", default="", help="ONLY: conversions whose name holds this text")
    parser.add_argument("--jobs", type=int, default=2, help="JOBS: how many commands run at once")
    wanted = parser.parse_args(arguments)
    try:
        convert = command(wanted.command)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    engine, chosen = Engine(validate=False), [item for item in items() if wanted.only in item.name]
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(wanted.jobs) as pool:
        places = [Path(work) / str(number) for number in range(len(chosen))]
        pairs = zip(chosen, places, strict=True)
        results = list(pool.map(lambda pair: run(pair[0], convert, pair[1], engine), pairs))
    for line in table(results):
        print(line)
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The report on speed: stages and chains, workers, growth, and the distance to the floor, as Markdown and JSON.

    python -m benchmarks.report -o benchmarks/results.md       (make bench)
    python -m benchmarks.report --sizes 10000 1000000 --only growth   (make bench-million)

Everything is measured on the machine that runs it; figures of a busy machine say so by its load.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import floor, generator, peers

Figures = dict[str, Any]
_MORE = 1.6  # what two workers are to do in the time of one
_FLAT = 1.10
_ENOUGH = 40_000  # messages of a run with workers: of fewer, the start of the run is a fifth


def machine() -> Figures:
    """What it was measured on."""
    model = next((x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), ":")
    return {
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "processor": model.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def run(corpus: Path, folder: Path, jobs: int, *, validate: bool = True) -> Figures:
    """One run of `batch` in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.endurance", corpus, folder, "--jobs", str(jobs)]
    done = subprocess.run([*words, *([] if validate else ["--no-validate"])], capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    wanted = figures["totals"]
    if wanted["ok"] != wanted["in"]:
        raise RuntimeError(f"{wanted['in'] - wanted['ok']} messages of the corpus were not converted")
    return figures


def workers(folder: Path, sizes: Sequence[int]) -> Figures:
    """The same corpus with one worker and with two, three times in turn; the fastest of each."""
    found: Figures = {}
    for mix in generator.MIXES:
        corpus = folder / f"workers-{mix}"
        number = min(sizes[-1], _ENOUGH)
        generator.write(corpus, number, mix, seed=1)
        times: dict[int, list[float]] = {1: [], 2: []}
        for turn in range(3):
            for jobs, seen in times.items():
                seen.append(run(corpus, folder / f"{mix}-{turn}-{jobs}", jobs)["seconds"])
        best = {jobs: min(seen) for jobs, seen in times.items()}
        rates = {str(jobs): round(number / seconds) for jobs, seconds in best.items()}
        found[mix] = {"messages": number, "per_second": rates, "ratio": round(best[1] / best[2], 2)}
    return found


def growth(folder: Path, sizes: Sequence[int]) -> list[Figures]:
    """Corpora of growing size: time a message and memory of each process are to stay as they are."""
    found = []
    for size in sizes:
        corpus = folder / f"growth-{size}"
        generator.write(corpus, size, "correspondence", seed=1)
        found.append({"messages": size, **run(corpus, folder / f"growth-{size}-run", 2)})
    return found


def limit(folder: Path, sizes: Sequence[int]) -> Figures:
    """The whole chain in one process beside straight-line Python and C over the same letters."""
    from benchmarks.corpus import TABLE
    from converter.directory import Directory
    from converter.engine import Engine
    from converter.issues import IssueLog

    letters = [generator.letter(number) for number in range(min(sizes[-1], 5_000))]
    directory = Directory.load(TABLE, IssueLog())
    found: Figures = {"messages": len(letters)}
    size = 0
    for name, validate in (("chain", False), ("validated", True)):
        engine = Engine(directory=directory, validate=validate)
        list(engine.convert(letters[0], to="fhir", name="letter"))
        began = time.process_time()
        size = sum(len(o.output or b"") for data in letters for o in engine.convert(data, to="fhir", name="letter"))
        found[f"{name}_us"] = _each(time.process_time() - began, letters)
    literal = (size - sum(map(len, letters))) // len(letters)
    out = folder / "python.out"
    found["python_us"] = _each(floor.in_python(letters, out, literal), letters)
    seconds = floor.in_c(letters, folder, literal)
    if seconds is not None:
        if not floor.same_values(out, folder / "floor.out"):
            raise RuntimeError("the two floors do not write the same values")
        found["c_us"] = _each(seconds, letters)
    return found


def _each(seconds: float, letters: Sequence[bytes]) -> float:
    return round(seconds * 1e6 / len(letters), 2)


def stages(folder: Path, sizes: Sequence[int]) -> list[Figures]:
    """Every row of the interleaved benchmark."""
    from benchmarks.__main__ import all_rows
    from benchmarks.rows import failing, measure, ratio

    rows = all_rows(33)
    closed = failing(rows)
    results = measure([row for row in rows if row.name not in closed], 3)
    shut = [{"stage": row.stage, "row": row.name, "closed": closed[row.name]} for row in rows if row.name in closed]
    return shut + [
        {
            "stage": r.row.stage,
            "row": r.row.name,
            "us": round(r.median, 1),
            "spread": round(r.spread, 2),
            "ratio": ratio(r, results),
            "to": r.row.anchor,
        }
        for r in results
    ]


def others(_folder: Path, _sizes: Sequence[int]) -> list[Figures]:
    """Converters of other formats."""
    return peers.measured()


PARTS: dict[str, Callable[[Path, Sequence[int]], Any]] = {
    "stages": stages,
    "workers": workers,
    "growth": growth,
    "limit": limit,
    "peers": others,
}


# Markdown


def markdown(found: Figures) -> str:
    """The figures as a page."""
    lines = ["# Speed", "", "Written by `make bench`; change no figure by hand.", ""]
    where = found["machine"]
    lines += [
        f"{where['processor']}, {where['cores']} cores, CPython {where['python']}; load {where['load']} when it began "
        f"({where['at']}). µs a message are processor time.",
        "",
    ]
    for name, page in (
        ("workers", _workers),
        ("growth", _growth),
        ("limit", _limit),
        ("stages", _stages),
        ("peers", _peers),
    ):
        if name in found:
            lines += [*page(found[name]), "", *_when(found.get("when", {}).get(name))]
    return "\n".join(lines)


def _when(where: Figures | None) -> list[str]:
    return [f"Measured {where['at']}; load {where['load']} when it began.", ""] if where else []


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        "|---" * len(header) + "|",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]


def _workers(found: Figures) -> list[str]:
    shares = {mix: ", ".join(f"{t} {n} %" for t, n in types.items()) for mix, types in generator.MIXES.items()}
    rows = [
        (f"{mix} ({shares[mix]})", f["messages"], f["per_second"]["1"], f["per_second"]["2"], f"{f['ratio']:.2f}")
        for mix, f in found.items()
    ]
    header = ("mix", "messages", "messages/s, 1 worker", "2 workers", "ratio")
    note = f"`batch run` from zip archives, validated, start-up included, fastest of three; the aim is {_MORE}."
    return ["## Workers", "", note, "", *_table(header, rows)]


def _growth(found: Sequence[Figures]) -> list[str]:
    rows = [
        (
            f"{f['messages']:,}",
            f["seconds"],
            f["cpu_us"],
            f["first_tenth_us"] or "",
            f["last_tenth_us"] or "",
            _times(f, "first_tenth"),
            _times(f, "last_tenth"),
            f["peak_mb"]["main"],
            ", ".join(map(str, f["peak_mb"]["workers"])),
        )
        for f in found
    ]
    tenths = ("first tenth", "last tenth", "first × floor", "last × floor")
    header = ("messages", "s", "µs/message", *tenths, "peak MB, main", "loading, workers")
    note = (
        f"Correspondence, two workers, validated. Memory is to stay within {_FLAT} of that at 10,000, time in 10 %. "
        "`× floor`: in letters read and written by straight-line Python meanwhile, since the machine's pace changes."
    )
    return ["## Growth", "", note, "", *_table(header, rows)]


def _times(figures: Figures, tenth: str) -> str:
    """How many times a tenth takes as long as the floor that was measured meanwhile."""
    below = figures.get(f"{tenth}_floor_us")
    return f"{figures[f'{tenth}_us'] / below:.2f}" if below else ""


def _limit(found: Figures) -> list[str]:
    names = {
        "validated_us": "the whole chain, validated",
        "chain_us": "the whole chain, not validated",
        "python_us": "read, split and written by straight-line Python",
        "c_us": "read, split and written by C",
    }
    rows = [
        (text, found[key], f"{found['validated_us'] / found[key]:,.0f}", f"{found['chain_us'] / found[key]:,.0f}")
        for key, text in names.items()
        if key in found
    ]
    header = (
        "one process, EDIFACT letters of correspondence",
        "µs/message",
        "validated is × this",
        "not validated is × this",
    )
    note = "The floors write as many bytes as the Bundles have, with every value of the letter, and do nothing else."
    return ["## Distance to the limit", "", note, "", *_table(header, rows)]


def _stages(found: Sequence[Figures]) -> list[str]:
    rows = [
        (
            f["stage"],
            f["row"].replace("|", "\\|"),
            f["us"],
            f"{f['spread']:.0%}",
            f"{f['ratio']:.1f}" if f["ratio"] else "",
            f["to"],
        )
        for f in found
        if "us" in f
    ]
    header = ("stage", "row", "µs/message", "spread", "times faster", "than")
    closed = [f"- no figure, since its gate is closed: {f['row']}: {f['closed']}" for f in found if "closed" in f]
    return ["## Stages", "", *_table(header, rows), *closed]


def _peers(found: Sequence[Figures]) -> list[str]:
    rows = [(f["peer"], f["job"], f.get("messages", ""), f.get("us") or f"not run: {f['skipped']}") for f in found]
    note = (
        "Converters of other formats, each on messages of its own: another job, beside ours for the order of magnitude."
    )
    return ["## Converters of other formats", "", note, "", *_table(("peer", "job", "messages", "µs/message"), rows)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("results.md"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--only", choices=tuple(PARTS), nargs="+", default=list(PARTS))
    asked = parser.parse_args(arguments)
    stored = asked.output.with_suffix(".json")
    # What is not measured anew stays.
    found: Figures = json.loads(stored.read_bytes()) if stored.exists() and len(asked.only) < len(PARTS) else {}
    found["machine"] = machine()
    with tempfile.TemporaryDirectory() as name:
        for part in asked.only:
            print(f"{part} …", file=sys.stderr)
            found.setdefault("when", {})[part] = machine()
            found[part] = PARTS[part](Path(name), sorted(asked.sizes))
    stored.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    asked.output.write_text(markdown(found), encoding="utf-8")
    print(asked.output.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

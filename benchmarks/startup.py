"""How long the command takes to say its version, beside a bare interpreter: wall time, in milliseconds."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "medcom-fhir --version": [sys.executable, "-m", "converter", "--version"],
}


def startup(rounds: int) -> dict[str, float]:
    """Median milliseconds of each command, interleaved; the first run of each warms the caches and does not count."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for round_ in range(rounds + 1):
        for name, command in COMMANDS.items():
            begin = time.perf_counter()
            done = subprocess.run(command, capture_output=True, check=False)
            elapsed = (time.perf_counter() - begin) * 1e3
            if done.returncode:
                raise SystemExit(f"{name} ends with exit code {done.returncode}: {done.stderr.decode()[-500:]}")
            if round_:
                times[name].append(elapsed)
    return {name: statistics.median(measured) for name, measured in times.items()}

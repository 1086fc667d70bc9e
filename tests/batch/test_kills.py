"""Runs that are killed end with the bytes of an undisturbed run; a naive design in the same harness does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_killed_runs_end_as_undisturbed_ones(root: Path) -> None:
    """The campaign of `make kill-campaign`, short. A process of its own, since it forks."""
    command = [sys.executable, "-m", "tests.batch.kills", "--kills", "30", "--runs", "3", "--messages", "1200"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    figures = json.loads(done.stdout.decode().splitlines()[-1])
    assert figures["kills"] == 30
    assert figures["faults"] == 0
    assert len(figures["points"]) > 3
    assert figures["control"]["faults"] > 0

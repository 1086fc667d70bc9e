"""A large corpus with known answers, assessed on this machine: every planted number is found, and what it took.

python -m tests.assessment.large --messages 200000 --jobs 2
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.assessment import known
from tests.assessment.answers import KEY, differences, found

ROOT = Path(__file__).resolve().parents[2]


def assessed(top: Path, messages: int, jobs: int) -> dict[str, Any]:
    """Write, assess and compare a corpus below a folder: the figures, and what was not found as planted."""
    planted = known.write(top / "corpus", messages)
    (top / "key").write_bytes(KEY)
    (top / "key").chmod(0o600)
    words = [
        "assess",
        "run",
        top / "corpus",
        "-o",
        top / "result",
        "--key-file",
        top / "key",
        "--jobs",
        jobs,
        "--quiet",
    ]
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "converter", *map(str, words)], cwd=ROOT, check=False)
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.returncode
    summary = json.loads((top / "result" / "summary.json").read_bytes())
    operation = json.loads((top / "result" / "operation.json").read_bytes())
    return {
        "messages": messages,
        "differences": differences(planted, found(planted, summary)),
        "seconds": round(seconds, 1),
        "messages_a_second": round(messages / seconds, 1),
        "load": [round(one, 2) for one in os.getloadavg()],
        "largest_process_megabytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "operation": operation,
        "files": {path.name: path.stat().st_size for path in sorted((top / "result").iterdir())},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; exit code 1 if something was not found as planted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--jobs", type=int, default=2)
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as top:
        figures = assessed(Path(top), wanted.messages, wanted.jobs)
    print(json.dumps(figures, indent=1))
    return 1 if figures["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())

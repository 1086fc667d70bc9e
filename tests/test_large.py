"""Large inputs: memory is bounded by the largest message, whatever the interchange, and nothing hangs."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from converter.engine import Engine
from converter.issues import Severity
from tests.edifact.made_letter import LETTER

MB = 1_000_000
HEAD, BODY = LETTER[: LETTER.index("UNH+")], LETTER[LETTER.index("UNH+") : LETTER.index("UNZ+")]

MEASURE = """
import resource, sys
from pathlib import Path
from converter.engine import Engine

engine, path, targets = Engine(validate=False), Path(sys.argv[1]), sys.argv[2].split(",")
list(engine.convert(b"UNA:+.? 'UNB+'", to="oioxml"))
data = path.read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for target in targets:
    written, total = b"", 0
    for outcome in engine.convert(data, to=target, name="large"):
        if outcome.output is not None:
            written, total = outcome.output, total + 1
    outcome = None
    data = written if len(targets) > 1 else data
print(total, len(written), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def measured(path: Path, targets: str) -> tuple[int, int, float]:
    """How many messages were converted, the size of the last, and the peak of memory above what the input takes."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path, targets], capture_output=True, text=True, check=True, timeout=900
    )
    total, size, kilobytes = map(int, done.stdout.split())
    return total, size, kilobytes * 1024 / MB


@pytest.mark.long
def test_interchange_of_100_mb_is_converted_message_by_message(tmp_path: Path) -> None:
    number, path = 100 * MB // len(BODY) + 1, tmp_path / "many.edi"
    with path.open("wb") as file:
        file.write(HEAD.encode("latin-1"))
        for n in range(number):
            file.write(BODY.replace("BREV1", f"B{n}").encode("latin-1"))
        file.write(f"UNZ+{number}+KUV1'\n".encode())
    assert path.stat().st_size > 100 * MB
    total, _, memory = measured(path, "oioxml")
    assert total == number
    assert memory < 300


@pytest.mark.long
def test_attachment_of_60_mb_is_converted_both_ways(tmp_path: Path, shared: Path) -> None:
    sample = (shared / "samples/medcom-2014/edifact/BIN01_synthetic.edi").read_bytes()
    raw = bytes(range(256)) * (60 * MB // 256)
    end = sample.rindex(b"UNP+")
    head = re.sub(rb"\+\d+:14:1:A\Z", b"+%d:14:1:A" % len(raw), sample[: sample.index(b"'", sample.index(b"UNO+"))])
    tail = re.sub(rb"\AUNP\+\d+", b"UNP+%d" % len(raw), sample[end:])
    path = tmp_path / "object.edi"
    path.write_bytes(head + b"'" + raw + tail)
    total, size, memory = measured(path, "oioxml,edifact")
    assert total == 1
    assert size > len(raw)
    # Its own needs: the object on the wire and in base64, each as read and as written.
    assert memory < 300 + 2 * (60 + 80)


def test_segment_of_100_mb_is_refused_at_once() -> None:
    engine = Engine(validate=False)
    data = HEAD.encode() + b"UNH+1+MEDDIS:D:93A:UN:D9134L+DIS91'FTX+NC+P00++" + b"x" * (100 * MB) + b"'UNT+3+1'"
    assert engine.definitions.types
    start = time.process_time()
    issues = [issue for outcome in engine.convert(data, to="oioxml", name="large") for issue in outcome.issues]
    assert time.process_time() - start < 1
    assert "EDI009" in {issue.code for issue in issues if issue.severity is Severity.ERROR}

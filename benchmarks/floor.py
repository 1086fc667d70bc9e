"""The distance to the limit: what `floor.c` does, and the same in straight-line Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
# A character that no letter holds for each one that is released, so that splitting needs no look back.
_RELEASED = {"\ue000": ("??", "?"), "\ue001": ("?'", "'"), "\ue002": ("?+", "+"), "\ue003": ("?:", ":")}
_VALUES = 69


def in_python(messages: Sequence[bytes], output: Path, literal: int) -> float:
    """Read, split, write: no names, no rules, no checks. Returns the processor time in seconds."""
    piece = "x" * (literal // _VALUES + 1)
    began = time.process_time()
    with output.open("wb") as file:
        for data in messages:
            text = data.decode("latin-1")[9:-1]
            for code, (released, _) in _RELEASED.items():
                text = text.replace(released, code)
            values = [value for segment in text.split("'") for e in segment.split("+") for value in e.split(":")]
            escaped = [f'"{v}"' if v.isalnum() else json.dumps(v, ensure_ascii=False) for v in values]
            filled = piece.join(escaped[:_VALUES]) + "".join(escaped[_VALUES:])
            for code, (_, plain) in _RELEASED.items():
                filled = filled.replace(code, plain)
            file.write((filled + piece + "\n").encode())
    return time.process_time() - began


def in_c(messages: Sequence[bytes], folder: Path, literal: int) -> float | None:
    """The same by a compiled program; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    program, data = folder / "floor", folder / "floor.edi"
    subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True)
    data.write_bytes(b"".join(messages))
    words = [program, data, folder / "floor.out", str(literal)]
    return float(subprocess.run(words, check=True, capture_output=True).stdout)


def same_values(one: Path, other: Path) -> bool:
    """Whether two floors wrote the same values: what stands between them is the letter x."""
    return one.read_bytes().replace(b"x", b"") == other.read_bytes().replace(b"x", b"")

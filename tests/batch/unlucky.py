"""The cheap conversion on a cluster where things go wrong: at some letters the executor dies, at others it hangs.

Each misfortune strikes once: whoever comes first makes a file in the folder that UNLUCKY names.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from converter.batch.chunk import Convert
from converter.engine import Outcome
from converter.sources import Input
from tests.batch import cheap

KILLS, HANGS = (b"B00000123", b"B00000345", b"B00000777"), b"B00000501"


def factory() -> Convert:
    """What converts, when all goes well in the end."""
    return _convert


def _convert(item: Input) -> Iterator[Outcome]:
    for name in KILLS:
        if name in item.data and _first(name.decode()):
            os.kill(_executor(), signal.SIGKILL)
            time.sleep(60)
    if HANGS in item.data:
        if _first("hung"):
            time.sleep(240)
        else:
            _first("hung, and done by another")
    yield from cheap.factory()(item)


def _first(name: str) -> bool:
    try:
        (Path(os.environ["UNLUCKY"]) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _executor() -> int:
    """The process of the executor that this one works for: the nearest Java above it."""
    number = os.getpid()
    while True:
        words = Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(")")
        if words[0].endswith("(java"):
            return number
        number = int(words[2].split()[1])

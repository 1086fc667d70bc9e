"""What holds for every run of these tests, whatever they are about."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from converter.batch.protocol import LEDGER


@pytest.fixture(autouse=True)
def sums(tmp_path: Path) -> Iterator[None]:
    """Every run that a test leaves balances: in = ok + dead + duplicate + refused."""
    yield
    for path in tmp_path.rglob(LEDGER):
        assert not unbalanced(path), path


def unbalanced(ledger: Path) -> str:
    """What is wrong with the sums of a run, asked of the file itself and not of the code that wrote it."""
    try:
        with sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True) as database:
            came = database.execute("SELECT coalesce(sum(messages), 0) FROM chunk").fetchone()[0]
            states = dict(database.execute("SELECT state, count(*) FROM msg GROUP BY state"))
    except sqlite3.DatabaseError:
        return ""  # a test that damages the ledger
    if strange := set(states) - {"ok", "dead", "duplicate", "refused"}:
        return f"states of their own: {sorted(strange)}"
    return "" if came == sum(states.values()) else f"{came} in, {states}"

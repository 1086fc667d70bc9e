"""The rows of the benchmark can be measured: each one's gate opens, so that what is timed does what it says."""

from __future__ import annotations

import pytest


@pytest.mark.long
def test_the_gate_of_every_row_opens() -> None:
    from benchmarks.__main__ import all_rows
    from benchmarks.rows import failing

    rows = all_rows(5)
    assert len(rows) > 40
    assert failing(rows) == {}

"""Parts as Parquet: a row a message with the Bundle as text. pyarrow is optional and only imported here."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import Any

from converter.batch.chunk import Raw, Row, State
from converter.errors import InterchangeError

# Which message a row holds: file of the plan, input in the file, message in the input, and its content id as hex.
COLUMNS = ("source", "piece", "message", "cid", "bundle")


def version() -> str:
    """The version of pyarrow, which the bytes of a part follow from. Raises `InterchangeError` where it is missing."""
    try:
        import pyarrow
    except ImportError:
        raise InterchangeError("Parquet needs pyarrow: pip install 'medcom-fhir[parquet]'") from None
    return str(pyarrow.__version__)


def part(rows: Sequence[Raw], lines: Sequence[bytes]) -> bytes:
    """A part with these lines; rows that have none are passed over."""
    import pyarrow as pa

    wanted = [row for row in map(Row._make, rows) if row.state == State.OK and row.line]
    number, text = pa.int64(), pa.string()
    columns = (
        pa.array([row.source for row in wanted], number),
        pa.array([row.piece for row in wanted], number),
        pa.array([row.ordinal for row in wanted], number),
        pa.array([row.cid.hex() for row in wanted], text),
        pa.array([lines[row.line - 1].rstrip(b"\n").decode() for row in wanted], text),
    )
    return _bytes(pa.table(columns, names=COLUMNS))


def without(data: bytes, gone: Collection[int]) -> tuple[bytes, int]:
    """The part without some of its rows, by number from 1, and how many are left."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    kept = table.take([n for n in range(table.num_rows) if n + 1 not in gone])
    return _bytes(kept), kept.num_rows


def _bytes(table: Any) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()

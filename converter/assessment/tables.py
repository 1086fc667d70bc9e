"""The tables of an assessment: their columns, what each means, and how they are written and read as Parquet.

No table holds a value of a message. Who a party or a patient is stands there as a keyed digest (`Keys`), so that
nobody without the run key can find a number by trying all numbers. pyarrow is optional and only imported here.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from converter.errors import InterchangeError

STATES = ("mapped", "defaulted", "lossy", "unmapped", "invalid")
"""What can become of a field or a message, from best to worst; each has exactly one."""
DRIVERS = ("functional", "model", "messaging")
"""Why something costs: a change inside systems, the data model of FHIR, or messages being sent at all."""
CLASSES = ("A", "B", "C", "D", "E", "F")
"""Automatic; with a table; with known loss; needs an agreement; needs a change in the system; no target."""
KINDS = ("answer", "receipt", "attachment", "copy")
"""What can tie two messages together."""
SMALL = 5
"""A number of messages of one sender and finding that is smaller is not told."""


class Column(NamedTuple):
    """A column: its name, its type (`int`, `text`, `flag`), what it holds, and whether it may be empty (null)."""

    name: str
    type: str
    means: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table: its name, which is that of its file too, what a row is, and its columns in order."""

    name: str
    row: str
    columns: tuple[Column, ...]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.parquet"


_INT, _TEXT, _FLAG = "int", "text", "flag"
_TYPE = Column(
    "type", _TEXT, "letter type as in EDIFACT; for FHIR that of the letter that says the same; empty: unknown"
)
_VERSION = Column("version", _TEXT, "version as in EDIFACT; empty: unknown")
_SENDER = Column("sender", _TEXT, "keyed digest of the sender's location number; empty: none")
_MONTH = Column("month", _TEXT, "YYYY-MM in which it was written by its own words; empty: unknown")

FACTS = Table(
    "facts",
    "a message",
    (
        Column("message", _INT, "number in the order of the corpus, from 1"),
        _TYPE,
        _VERSION,
        Column("syntax", _TEXT, "edifact, oioxml or fhir"),
        Column("role", _TEXT, "letter, receipt or attachment (mappings/flows.yaml)"),
        Column("envelope", _FLAG, "it came in a VANS envelope"),
        _MONTH,
        _SENDER,
        Column("receiver", _TEXT, "keyed digest of the receiver's location number; empty: none"),
        Column("patient", _TEXT, "keyed digest of the patient's number; empty: none"),
        Column("bytes", _INT, "size; where messages share an input, that of the input is divided among them"),
        Column("attachments", _INT, "objects that it holds or names"),
        Column("longest_text", _INT, "characters of its longest formatted text"),
        Column("target", _TEXT, "name of the mapping to FHIR; empty: there is none"),
        Column(
            "state",
            _TEXT,
            "the message as a whole: the worst state of its fields (STATES); losses of severity info do not count",
        ),
        Column("refused", _FLAG, "a loss of severity block keeps it from being converted, or it cannot be read"),
        Column("leaves", _INT, "values that it has"),
        *(Column(state, _INT, f"of these: {state}") for state in STATES if state != "defaulted"),
        Column("defaulted", _INT, "values that the target's rules make up; not among `leaves`"),
        Column("losses", _INT, "values that are lost, changed or made up under a loss of severity warn or block"),
        Column("info_losses", _INT, "the same under a loss of severity info"),
        Column("round_trip", _TEXT, "to FHIR and back: equal, same (but for formats and blanks), different, or none"),
        Column("cluster", _TEXT, "id in clusters.parquet"),
        Column("errors", _INT, "findings of severity error"),
        Column("warnings", _INT, "findings of severity warning"),
        Column("class", _TEXT, "automation class A to F"),
        Column("copy", _FLAG, "a message that is the same stands before it in the corpus"),
        Column(
            "weight",
            _INT,
            "messages of the corpus that it stands for; 1 without --sample",
        ),
    ),
)
COVERAGE = Table(
    "coverage",
    "a field, what became of it, and why",
    (
        _TYPE,
        _VERSION,
        Column("syntax", _TEXT, "edifact, oioxml or fhir"),
        Column("field", _TEXT, "path in the letter without indices; what no definition knows is `(unknown)`"),
        Column("state", _TEXT, "one of STATES"),
        Column("disposition", _TEXT, "that of the conversion's ledger"),
        Column("loss", _TEXT, "id in mappings/losses.yaml; empty: none"),
        Column("severity", _TEXT, "of the loss: info, warn, block; empty: none"),
        Column("occurrences", _INT, "how many values"),
        Column("messages", _INT, "in how many messages"),
    ),
)
FINDINGS = Table(
    "findings",
    "a finding at one sender, or (with an empty sender) at all of them together",
    (
        Column("finding", _TEXT, "id: kind, code, type and path; the same in every run"),
        Column(
            "kind", _TEXT, "issue, loss, unmapped, untargeted, cluster, roundtrip, quality, version, messaging, flow"
        ),
        Column("code", _TEXT, "issue code, loss id, check or cluster"),
        Column("driver", _TEXT, "one of DRIVERS"),
        Column("severity", _TEXT, "error, warning or info"),
        _TYPE,
        Column("path", _TEXT, "path in the letter without indices; empty: the message as a whole"),
        Column("sender", _TEXT, "keyed digest; empty: all senders"),
        Column(
            "messages",
            _INT,
            f"in how many messages; null: withheld, as fewer than {SMALL} or to protect such a number",
            nullable=True,
        ),
        Column("occurrences", _INT, "how often; null like `messages`", nullable=True),
    ),
)
PAIRS = Table(
    "pairs",
    "two messages that belong together, or one whose other half is not in the corpus",
    (
        Column("kind", _TEXT, "one of KINDS"),
        Column("state", _TEXT, "joined; missing (the second is not here); orphan (the first is not here)"),
        Column("joined_by", _TEXT, "episode, letter id, receipt, object or copy; empty: not joined"),
        Column("first", _INT, "message number; null: not here", nullable=True),
        Column("second", _INT, "message number; null: not here", nullable=True),
        Column("first_type", _TEXT, "letter type; empty: not here"),
        Column("second_type", _TEXT, "letter type; empty: not here"),
        Column("agreed", _FLAG, "the second is of a type that usually answers the first"),
        _MONTH,
        _SENDER,
        Column("receiver", _TEXT, "keyed digest"),
        Column("minutes", _INT, "from the first to the second, by their own words; null: not known", nullable=True),
        Column("late", _FLAG, "later than mappings/assessment.yaml allows"),
    ),
)
CLUSTERS = Table(
    "clusters",
    "a way in which messages of one type and version depart from their definition",
    (
        Column("cluster", _TEXT, "id: digest of type, version and differences; the same in every run"),
        _TYPE,
        _VERSION,
        Column("differences", _TEXT, "CODE@path, sorted, one a line; empty: as the definition has it"),
        Column("deviating", _FLAG, "there is a difference"),
        Column("messages", _INT, "how many have it"),
        Column("senders", _INT, "from how many senders"),
        Column("first_month", _TEXT, "YYYY-MM; empty: unknown"),
        Column("last_month", _TEXT, "YYYY-MM; empty: unknown"),
    ),
)
TABLES = (FACTS, COVERAGE, FINDINGS, PAIRS, CLUSTERS)

Row = Mapping[str, Any]
_GROUP = 1 << 17  # rows that are held and written together


class Keys:
    """Keyed digests of who is named: the same for one number and one key, and nothing without the key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def party(self, number: str) -> str:
        """What a location number is called; empty for none."""
        return self._named("party", number.strip())

    def patient(self, number: str) -> str:
        """What a patient's number is called, however it is hyphenated; empty for none."""
        return self._named("patient", number.strip().replace("-", "").upper())

    def name(self, text: str) -> str:
        """What a name that the sender made up is called, such as that of an unknown element."""
        return self._named("name", text)[:9]

    def derived(self, purpose: str) -> bytes:
        """A key for another purpose, from which this one does not follow."""
        return hmac.digest(self._key, b"key\0" + purpose.encode(), sha256)

    def _named(self, kind: str, text: str) -> str:
        if not text:
            return ""
        told = hmac.digest(self._key, f"{kind}\0{text}".encode("utf-8", "replace"), sha256)
        return kind[0] + told.hex()[:20]


def write(table: Table, rows: Iterable[Row], path: Path) -> None:
    """Write a table as Parquet: the same rows give the same bytes. Rows are taken as they come, some at a time.

    Raises `InterchangeError` where pyarrow is missing, `OSError` if it cannot be written.
    """
    require()
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, waiting = arrow(table), iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while held := list(islice(waiting, _GROUP)):
            columns = [pa.array([row[field.name] for row in held], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def read(path: Path, table: Table) -> list[dict[str, Any]]:
    """The rows of a table of an assessment. Raises `InterchangeError` for a file that is not that table."""
    rows: list[dict[str, Any]] = read_arrow(path, table).to_pylist()
    return rows


def read_arrow(path: Path, table: Table) -> Any:
    """The same as a table of pyarrow."""
    require()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowException):
        raise InterchangeError(f"cannot read {path} as a table of an assessment") from None
    if tuple(found.column_names) != tuple(column.name for column in table.columns):
        raise InterchangeError(f"{path} does not have the columns of {table.file}")
    return found


def arrow(table: Table) -> Any:
    """The schema of a table, with what each column means."""
    import pyarrow as pa

    types = {_INT: pa.int64(), _TEXT: pa.string(), _FLAG: pa.bool_()}
    fields = [pa.field(c.name, types[c.type], c.nullable, {"means": c.means}) for c in table.columns]
    return pa.schema(fields, {"row": table.row})


def names(table: Table) -> Sequence[str]:
    """The names of its columns."""
    return tuple(column.name for column in table.columns)


def require() -> None:
    """Raise `InterchangeError` where what an assessment needs is not installed."""
    try:
        import duckdb  # noqa: F401 - said here, before anything is read
        import pyarrow  # noqa: F401
    except ImportError:
        raise InterchangeError("an assessment needs pyarrow and duckdb: pip install 'medcom-fhir[assess]'") from None

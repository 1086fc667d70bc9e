"""Questions to the tables of an assessment, asked in SQL. duckdb is optional and only imported here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from converter.assessment.tables import CLASSES, DRIVERS, SMALL, STATES, TABLES, require

QUASI = ("type", "version", "sender", "receiver", "month")
"""The columns of facts by which somebody who knows one of them could look for a message."""
_N = "sum(weight)::bigint"
_STATES = ", ".join(f"coalesce(sum(weight) filter (state = '{state}'), 0)::bigint as {state}" for state in STATES)
_CLASSES = ", ".join(f"coalesce(sum(weight) filter (class = '{one}'), 0)::bigint as {one}" for one in CLASSES)
# What is told of a field that has several fates: the worst, and invalid only where it is never valid.
_ELEMENTS = (
    "with fates as (select type, version, field, "
    "case when bool_and(state = 'invalid') then 4 else "
    "max(case state when 'invalid' then -1 when 'unmapped' then 3 when 'lossy' then 2 when 'defaulted' then 1 "
    "else 0 end) "
    "end as fate from coverage group by all) "
)


class Questions:
    """The tables of a folder. Used as a context manager."""

    def __init__(self, folder: Path) -> None:
        require()
        import duckdb

        # One thread: sums of whole numbers do not depend on it, and the order of rows then cannot either.
        self._database = duckdb.connect(config={"threads": 1})
        for table in TABLES:
            path = str(folder / table.file).replace("'", "''")
            self._database.execute(f"create view {table.name} as select * from read_parquet('{path}')")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of an answer, each by the names of its columns."""
        found = self._database.execute(sql, list(values))
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def one(self, sql: str, *values: Any) -> dict[str, Any]:
        """The one row of an answer."""
        return self.rows(sql, *values)[0]

    # -- volume --------------------------------------------------------------------------------------------------------

    def corpus(self) -> dict[str, Any]:
        """How much there is, from how many, and from when to when."""
        return self.one(
            f"select coalesce({_N}, 0) as messages, "
            "coalesce(sum(bytes * weight), 0)::bigint as bytes, "
            "count(distinct sender) filter (sender != '') as senders, "
            "count(distinct receiver) filter (receiver != '') as receivers, "
            "coalesce(min(month) filter (month != ''), '') as first_month, coalesce(max(month), '') as last_month, "
            "coalesce(sum(weight) filter (month = ''), 0)::bigint as undated from facts"
        )

    def volume(self, messages: int) -> dict[str, Any]:
        """Messages by what they are, who exchanges them and when."""
        by = "select {0}, " + _N + " as messages from facts group by {0} order by messages desc, {0}"
        types = self.rows(
            f"select type, version, syntax, role, {_N} as messages, sum(bytes * weight)::bigint as bytes, "
            "sum(attachments * weight)::bigint as attachments from facts "
            "group by type, version, syntax, role order by messages desc, type, version, syntax, role"
        )
        receipts = sum(row["messages"] for row in types if row["role"] == "receipt")
        return {
            "by_type": [{**row, "share": share(row["messages"], messages)} for row in types],
            "by_month": self.rows(f"select month, {_N} as messages from facts group by month order by month"),
            "by_sender": self._parties("sender"),
            "by_receiver": self._parties("receiver"),
            "by_syntax": self.rows(by.format("syntax")),
            "by_envelope": self.rows(by.format("envelope")),
            "matrix": self.rows(
                f"select sender, receiver, type, {_N} as messages from facts group by all order by all"
            ),
            "receipts": {"messages": receipts, "share": share(receipts, messages)},
        }

    def _parties(self, column: str) -> list[dict[str, Any]]:
        return self.rows(
            f"select {column} as party, {_N} as messages from facts group by party order by messages desc, party"
        )

    # -- coverage ------------------------------------------------------------------------------------------------------

    def coverage(self) -> dict[str, Any]:
        """The five states by field, value and message, as a whole and by type and version."""
        fields = ", ".join(f"count(*) filter (fate = {n}) as {state}" for n, state in enumerate(STATES))
        values = ", ".join(
            f"coalesce(sum(occurrences) filter (state = '{state}'), 0)::bigint as {state}" for state in STATES
        )
        without = f"select coalesce(sum(weight) filter ({_WITHOUT}), 0)::bigint as some, "
        without += f"coalesce(sum(weight) filter ({_WITHOUT} and info_losses = 0 and losses = 0), 0)::bigint as any "
        key, group = "type, version", "group by type, version order by type, version"
        by_type = self.rows(
            f"select {key}, {_N} as messages, {_STATES}, "
            f"coalesce(sum(weight) filter ({_WITHOUT}), 0)::bigint as without_loss from facts {group}"
        )
        elements = self._by_type(f"{_ELEMENTS} select {key}, {fields} from fates {group}")
        occurrences = self._by_type(f"select {key}, {values} from coverage {group}")
        none = dict.fromkeys(STATES, 0)
        return {
            "by_element": self.one(f"{_ELEMENTS} select {fields} from fates"),
            "by_occurrence": self.one(f"select {values} from coverage"),
            "by_message": self.one(f"select {_STATES} from facts"),
            "without": self.one(f"{without} from facts"),
            "by_type": [
                {
                    "type": row["type"],
                    "version": row["version"],
                    "messages": row["messages"],
                    "elements": elements.get((row["type"], row["version"]), none),
                    "occurrences": occurrences.get((row["type"], row["version"]), none),
                    "by_message": {state: row[state] for state in STATES},
                    "without_loss": row["without_loss"],
                }
                for row in by_type
            ],
        }

    def _by_type(self, sql: str) -> dict[tuple[str, str], dict[str, int]]:
        return {(row.pop("type"), row.pop("version")): row for row in self.rows(sql)}

    def reasons(self) -> list[dict[str, Any]]:
        """The losses that occur, with how many fields and values they are about."""
        return self.rows(
            "select loss, severity, count(distinct (type, field)) as fields, sum(occurrences)::bigint as occurrences "
            "from coverage where loss != '' group by loss, severity order by occurrences desc, loss"
        )

    def round_trip(self) -> dict[str, Any]:
        """How many messages come back as they were."""
        ways = ("equal", "same", "different", "none")
        counts = ", ".join(
            f"coalesce(sum(weight) filter (round_trip = '{way}'), 0)::bigint as {way}" for way in ways
        ).replace(" as same", ' as "same"')
        by_type = self.rows(f"select type, {counts} from facts group by type order by type")
        return {**self.one(f"select {counts} from facts"), "by_type": by_type}

    # -- what it takes -------------------------------------------------------------------------------------------------

    def automation(self) -> dict[str, Any]:
        """The classes, as a whole, by type, and by type and sender."""
        by = self.rows(f"select type, {_CLASSES} from facts group by type order by type")
        parties = self.rows(
            f"select type, sender as party, {_N} as messages, {_CLASSES} from facts "
            "group by type, party order by messages desc, type, party"
        )
        return {
            "classes": self.one(f"select {_CLASSES} from facts"),
            "by_type": [{"type": row["type"], "classes": {one: row[one] for one in CLASSES}} for row in by],
            "by_type_party": parties,
        }

    def unmapped_fields(self) -> dict[str, int]:
        """How many fields of each type no rule carries."""
        sql = "select type, count(distinct field) as n from coverage where state = 'unmapped' group by type"
        return {row["type"]: row["n"] for row in self.rows(sql)}

    def targets(self) -> dict[str, tuple[bool, int]]:
        """By letter type: whether there is a mapping, and how many messages."""
        sql = f"select type, bool_or(target != '') as targeted, {_N} as n from facts group by type order by type"
        return {row["type"]: (row["targeted"], row["n"]) for row in self.rows(sql)}

    # -- messages together ---------------------------------------------------------------------------------------------

    def pairs(self, kind: str) -> dict[str, int]:
        """How many pairs of a kind have each state."""
        states = ("joined", "missing", "open", "orphan")
        counts = ", ".join(f"count(*) filter (state = '{state}') as {state}" for state in states)
        return self.one(f"select {counts}, count(*) filter (late) as late from pairs where kind = ?", kind)

    def delays(self, kind: str) -> list[int]:
        """The minutes between the messages of the pairs of a kind, where they are known and not negative."""
        sql = "select minutes from pairs where kind = ? and state = 'joined' and minutes >= 0 order by minutes"
        return [row["minutes"] for row in self.rows(sql, kind)]

    def coupling(self) -> list[dict[str, Any]]:
        """By type of referral: how many were answered, by an agreed type or only another, and how many were not."""
        return self.rows(
            "with of_one as (select first, first_type, bool_or(state = 'joined' and agreed) as answered, "
            "bool_or(state = 'joined') as any_answer, bool_or(state = 'missing') as missing from pairs "
            "where kind = 'answer' and first is not null group by first, first_type) "
            "select first_type as referral, count(*) as referrals, count(*) filter (answered) as answered, "
            "count(*) filter (any_answer and not answered) as other, count(*) filter (missing) as missing, "
            "count(*) filter (not any_answer and not missing) as open "
            "from of_one group by first_type order by first_type"
        )

    def answers(self) -> dict[str, list[dict[str, Any]]]:
        """The types of the answers, by type of referral."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows(
            "select first_type, second_type as type, count(*) as answers from pairs where kind = 'answer' "
            "and state = 'joined' group by all order by answers desc, type"
        ):
            found.setdefault(row.pop("first_type"), []).append(row)
        return found

    def joined_by(self) -> list[dict[str, Any]]:
        """What joined answers to their referrals."""
        return self.rows(
            'select joined_by as "by", count(*) as pairs from pairs '
            "where kind = 'answer' and state = 'joined' "
            "group by joined_by order by pairs desc, joined_by"
        )

    # -- who -----------------------------------------------------------------------------------------------------------

    def versions(self) -> list[dict[str, Any]]:
        """Messages by type, version, syntax and sender."""
        return self.rows(
            f"select type, version, syntax, sender as party, {_N} as messages from facts "
            "where version != '' group by all order by messages desc, type, version, syntax, party"
        )

    def parties(self) -> list[dict[str, Any]]:
        """Who sends and who receives what."""
        return self.rows(
            "with each as (select sender as party, type, weight as sent, 0 as received from facts union all "
            "select receiver, type, 0, weight from facts) "
            "select party, sum(sent)::bigint as sent, sum(received)::bigint as received, "
            "coalesce(list(distinct type order by type) filter (sent > 0), []) as types_sent, "
            "coalesce(list(distinct type order by type) filter (received > 0), []) as types_received "
            "from each where party != '' group by party order by sent desc, received desc, party"
        )

    def anonymity(self, columns: Sequence[str] = QUASI) -> dict[str, Any]:
        """The smallest number of messages that agree in these columns of facts, and how many stand in small groups."""
        found = self.one(
            f"with crowds as (select count(*) as n from facts group by {', '.join(columns)}) "
            "select coalesce(min(n), 0) as k, coalesce(sum(n) filter (n < ?), 0)::bigint as rows_below from crowds",
            SMALL,
        )
        return {"columns": list(columns), **found, "limit": SMALL}

    def suppressed(self) -> int:
        """How many numbers are left out because they are small."""
        return int(self.one("select count(*) as n from findings where messages is null")["n"])

    def findings(self) -> list[dict[str, Any]]:
        """All findings with their senders, the most frequent first."""
        whole = self.rows("select * from findings where sender = '' order by messages desc, finding")
        senders: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows(
            "select finding, sender as party, messages from findings where sender != '' "
            "order by messages desc nulls last, party"
        ):
            senders.setdefault(row.pop("finding"), []).append(row)
        return [{**row, "senders": senders.get(row["finding"], [])} for row in whole]


_WITHOUT = "state in ('mapped', 'defaulted')"


def share(part: int, whole: int) -> float:
    """A part of a whole, to six places; 0 of nothing."""
    return round(part / whole, 6) if whole else 0.0


def of_driver(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by their driver; all three, without rows too."""
    return {driver: [row for row in rows if row["driver"] == driver] for driver in DRIVERS}

"""`summary.json`: everything that is told of an assessment, as data with stable keys (`summary.schema.json`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from converter.assessment.assembling import Assembly, Finding
from converter.assessment.collecting import ATTACHMENT, RECEIPT
from converter.assessment.effort import effort
from converter.assessment.inventory import Systems
from converter.assessment.joining import histogram, quantiles
from converter.assessment.metrics import Questions, of_driver, share
from converter.assessment.tables import CLASSES, SMALL

FORMAT = "medcom-fhir assessment 1"
_STEPS = (5, 15, 30, 60, 120, 1440, 4320)
_AT_LEAST = 0.05  # a class counts for all messages of a party and type from this share of them on
_TOP = 10

Rows = list[dict[str, Any]]


class Summing:
    """Makes the summary of tables. `names`: what parties are called; `given`: which inputs were given."""

    def __init__(
        self, assembly: Assembly, questions: Questions, names: Mapping[str, str], given: Mapping[str, Any]
    ) -> None:
        self._assembly, self._ask, self._names, self._given = assembly, questions, names, given
        self._measures = assembly.measures
        self._inventory: Systems | None = given["inventory"]
        self._corpus = {**questions.corpus(), "copies": assembly.joining.copies}
        self._n: int = self._corpus["messages"]
        self._findings = self._told_findings()

    def summary(self) -> dict[str, Any]:
        """The whole."""
        ask = self._ask
        points = effort(self._measures, self._findings, ask.targets(), ask.unmapped_fields(), self._systems())
        coverage, automation = self._coverage(), self._automation()
        receipts = self._timed("receipt")
        return {
            "format": FORMAT,
            "corpus": {**self._corpus, **{key: self._given[key] for key in ("unread", "skipped", "sample")}},
            "headline": self._headline(coverage, automation, points),
            "volume": ask.volume(self._n),
            "coverage": coverage,
            "round_trip": self._round_trip(),
            "clusters": self._clusters(),
            "quality": self._quality(),
            "automation": automation,
            "effort": points,
            "messaging": self._messaging(receipts),
            "flows": self._flows(),
            "old_versions": self._old_versions(),
            "operation": self._operation(),
            "drivers": self._drivers(points),
            "findings": self._findings,
            "parties": [{**row, "name": self._names.get(row["party"], "")} for row in ask.parties()],
            "inventory": self._inventory.as_json() if self._inventory else None,
            "not_assessed": list(self._measures.not_assessed),
            "missing_inputs": self._missing(),
            "privacy": {
                "small": SMALL,
                "suppressed": ask.suppressed(),
                "key": self._given["key"],
                "k_anonymity": ask.anonymity(),
            },
        }

    def _systems(self) -> dict[str, int]:
        """How many systems are approved to send or receive each type."""
        by_type = self._inventory.by_type if self._inventory else {}
        return {type_: len(ways["sends"] | ways["receives"]) for type_, ways in by_type.items()}

    # -- findings ------------------------------------------------------------------------------------------------------

    def _told_findings(self) -> Rows:
        told = []
        for row in self._ask.findings():
            name, what = self._assembly.said(Finding(*(row[part] for part in Finding._fields)))
            told.append(
                {
                    **{part: row[part] for part in ("finding", *Finding._fields)},
                    "name": name,
                    "what": what,
                    "messages": row["messages"],
                    "occurrences": row["occurrences"],
                    "share": share(row["messages"], self._n),
                    "senders": row["senders"],
                }
            )
        return told

    def _of(self, kind: str, codes: Sequence[str] = ()) -> Rows:
        return [row for row in self._findings if row["kind"] == kind and (not codes or row["code"] in codes)]

    def _ids(self, kind: str, codes: Sequence[str] = ()) -> list[str]:
        return [row["finding"] for row in self._of(kind, codes)]

    def _first(self, *kinds: str) -> str | None:
        """The most frequent finding of the first of these kinds that there is."""
        return next((row["finding"] for kind in kinds for row in self._of(kind) if row["severity"] != "info"), None)

    def _headline(self, coverage: dict[str, Any], automation: dict[str, Any], points: dict[str, Any]) -> Rows:
        classes = automation["classes"]
        costly = max(points["rows"], key=lambda row: row["points"], default=None)
        volume = next(iter(self._ids("volume")), None)
        told = (
            ("messages", self._n, None, volume),
            ("with-target", self._n - classes["F"], self._n, self._first("untargeted") or volume),
            (
                "without-loss",
                coverage["without_loss"]["messages"],
                self._n,
                coverage["without_loss"]["finding"] or volume,
            ),
            ("automatic", classes["A"] + classes["B"], self._n, self._first("loss", "untargeted") or volume),
            ("effort-points", points["points"], None, costly["finding"] if costly else None),
        )
        return [dict(zip(("id", "value", "of", "finding"), one, strict=True)) for one in told]

    def _drivers(self, points: dict[str, Any]) -> Rows:
        rows = of_driver([row for row in self._findings if row["kind"] != "volume"])
        return [
            {
                "driver": driver,
                "findings": len(of_one),
                # Messages have several findings, so a sum over findings would count them more than once.
                "messages": max((row["messages"] for row in of_one), default=0),
                "points": points["by_driver"][driver],
                "top": [row["finding"] for row in of_one if row["severity"] != "info"][:_TOP],
            }
            for driver, of_one in rows.items()
        ]

    # -- coverage ------------------------------------------------------------------------------------------------------

    def _coverage(self) -> dict[str, Any]:
        found = self._ask.coverage()
        without, worst = found.pop("without"), self._first("loss", "unmapped", "untargeted", "issue")
        some, none = ({"messages": n, "share": share(n, self._n)} for n in (without["some"], without["any"]))
        losses = self._assembly.engine.mappings.losses
        reasons = []
        for row in self._ask.reasons():
            told, loss = self._of("loss", [row["loss"]]), losses.get(row["loss"])
            largest = max((one["messages"] for one in told), default=0)
            words = {"what": loss.what if loss else "", "says": loss.says if loss else ""}
            reasons.append({**row, **words, "messages": largest, "findings": [one["finding"] for one in told]})
        return {
            **{weight: found[weight] for weight in ("by_element", "by_occurrence", "by_message")},
            "without_loss": {**some, "finding": worst},
            "without_any_loss": {**none, "finding": worst},
            "by_type": found["by_type"],
            "reasons": reasons,
        }

    def _round_trip(self) -> dict[str, Any]:
        causes = [
            {
                "finding": row["finding"],
                "type": row["type"],
                "path": row["path"],
                "loss": "" if row["code"] == "undeclared" else row["code"],
                "messages": row["messages"],
            }
            for row in self._of("roundtrip")
        ]
        return {**self._ask.round_trip(), "causes": causes}

    # -- clusters, quality ---------------------------------------------------------------------------------------------

    def _clusters(self) -> dict[str, Any]:
        rows, curve, sum_ = [], [], 0
        ids = {row["code"]: row["finding"] for row in self._of("cluster")}
        for n, row in enumerate(self._assembly.rows_of_clusters(), 1):
            differences = [
                dict(zip(("code", "path"), one.split("@", 1), strict=True))
                for one in row["differences"].split("\n")
                if one
            ]
            sum_ += row["messages"]
            rows.append(
                {
                    **row,
                    "differences": differences,
                    "share": share(row["messages"], self._n),
                    "finding": ids.get(row["cluster"]),
                }
            )
            curve.append({"clusters": n, "messages": sum_, "share": share(sum_, self._n)})
        return {"total": len(rows), "deviating": sum(row["deviating"] for row in rows), "rows": rows, "curve": curve}

    def _quality(self) -> Rows:
        told = []
        for check in self._measures.quality:
            found = self._of("quality", [check.name])
            tested, failed = self._assembly.tested[check.name], self._assembly.failed[check.name]
            senders = [one for row in found for one in row["senders"]]
            told.append(
                {
                    "check": check.name,
                    "driver": check.driver,
                    "tested": tested,
                    "failed": failed,
                    "share": share(failed, tested),
                    "findings": [*(row["finding"] for row in found), *self._ids("issue", check.need.codes)]
                    if check.need.codes
                    else [row["finding"] for row in found],
                    "senders": _merged(senders),
                }
            )
        return told

    # -- automation ----------------------------------------------------------------------------------------------------

    def _automation(self) -> dict[str, Any]:
        found = self._ask.automation()
        told = []
        for row in found["by_type_party"]:
            classes = {one: row[one] for one in CLASSES}
            klass = next((one for one in reversed(CLASSES) if classes[one] >= row["messages"] * _AT_LEAST), "A")
            small = {one: None if 0 < n < SMALL else n for one, n in classes.items()}
            reasons = self._reasons(row["type"], klass)
            told.append(
                {
                    "type": row["type"],
                    "party": row["party"],
                    "messages": row["messages"],
                    "class": klass,
                    "reasons": reasons,
                    "classes": small,
                }
            )
        return {**found, "by_type_party": told}

    def _reasons(self, type_: str, klass: str) -> list[str]:
        """The findings that put a type into its class, the most frequent three."""
        kinds = {"F": ("untargeted",), "E": ("functional",), "D": ("issue", "quality"), "C": ("loss",), "B": ("issue",)}
        rows = (
            row["finding"]
            for row in self._findings
            if row["type"] == type_ and row["kind"] in kinds.get(klass, ()) and row["severity"] != "info"
        )
        return [finding for finding, _ in zip(rows, range(3), strict=False)]

    # -- messages together ---------------------------------------------------------------------------------------------

    def _timed(self, kind: str) -> dict[str, Any]:
        pairs, minutes = self._ask.pairs(kind), self._ask.delays(kind)
        wanted = pairs["joined"] + pairs["missing"]
        return {
            "joined": pairs["joined"],
            "missing": pairs["missing"],
            "orphan": pairs["orphan"],
            "share": share(pairs["joined"], wanted),
            "late": pairs["late"],
            "minutes": quantiles(minutes),
            "histogram": histogram(minutes, _STEPS) if minutes else [],
            "findings": self._ids("messaging", [f"{kind}-{how}" for how in ("missing", "orphan", "late")]),
        }

    def _messaging(self, receipts: dict[str, Any]) -> dict[str, Any]:
        copies = self._corpus["copies"]
        return {
            "receipts": {"expected": self._assembly.joining.wanting, "received": receipts.pop("joined"), **receipts},
            "attachments": self._timed("attachment"),
            "copies": {
                "messages": copies,
                "share": share(copies, self._n),
                "findings": self._ids("messaging", ["copy"]),
            },
            "open_pairs": [
                {"retention": name, "minutes": minutes, "pairs": self._retained(minutes)}
                for name, minutes in self._measures.retentions
            ],
        }

    def _retained(self, minutes: int) -> int:
        """Messages that wait for a receipt at once, if each is remembered for that long and they come evenly."""
        waiting = self._assembly.joining.wanting
        whole = self._months() * 30 * 1440
        return min(waiting, round(waiting * minutes / whole)) if whole else 0

    def _months(self) -> int:
        first, last = self._corpus["first_month"], self._corpus["last_month"]
        if not first:
            return 0
        (y, m), (y2, m2) = ((int(part) for part in text.split("-")) for text in (first, last))
        return (y2 - y) * 12 + m2 - m + 1

    def _flows(self) -> dict[str, Any]:
        ask, rows = self._ask, self._assembly.table.rows
        answers, mixed = ask.answers(), self._assembly.joining.mixed()
        codes = sorted({row["code"] for row in self._of("flow")})
        return {
            "coupling": [
                {
                    **row,
                    "agreed": list(rows[row["referral"]].answered_by),
                    "types": answers.get(row["referral"], []),
                    "findings": [
                        one["finding"]
                        for one in self._of("flow", codes)
                        if one["type"] in {row["referral"], *(a["type"] for a in answers.get(row["referral"], []))}
                    ],
                }
                for row in ask.coupling()
            ],
            "answers_without_referral": ask.pairs("answer")["orphan"],
            "joined_by": ask.joined_by(),
            "mixed_standards": {
                "patients": sum(n for _, n in mixed),
                "combinations": [{"types": list(types), "patients": n} for types, n in mixed if n >= SMALL],
                "finding": next(iter(self._ids("flow", ["mixed-standards"])), None),
            },
        }

    def _old_versions(self) -> dict[str, Any]:
        assembly, rows = self._assembly, []
        for row in self._ask.versions():
            syntax = row.pop("syntax")
            if assembly.is_old(row["type"], row["version"], syntax):
                rows.append({**row, "newest": assembly.newest(row["type"], syntax)})
        messages = sum(row["messages"] for row in rows)
        for row in rows:
            row["messages"] = None if row["messages"] < SMALL else row["messages"]
        told = {"messages": messages, "share": share(messages, self._n)}
        return {**told, "rows": rows, "findings": self._ids("version")}

    def _operation(self) -> dict[str, Any]:
        months, waiting = self._months(), self._assembly.joining.wanting
        by_month = [row for row in self._ask.volume(self._n)["by_month"] if row["month"]]
        busiest = max(by_month, key=lambda row: row["messages"], default={"month": "", "messages": 0})
        longest = max((minutes for _, minutes in self._measures.retentions), default=0)
        return {
            "months": months,
            "messages_a_month": round(self._n / months, 6) if months else 0,
            "bytes_a_month": round(self._corpus["bytes"] / months, 6) if months else 0,
            "busiest_month": busiest["month"],
            "busiest": busiest["messages"],
            "open_pairs_a_month": round(waiting / months, 6) if months else 0,
            "retained_pairs": self._retained(longest),
        }

    # -- what is not known ---------------------------------------------------------------------------------------------

    def _missing(self) -> Rows:
        present = {RECEIPT: "receipts", ATTACHMENT: "attachments"}
        hidden = ["costs"]  # no input of a run: `assess price` takes it
        hidden += [name for name in ("inventory", "organisations") if not self._given.get(name)]
        hidden += [present[role] for role in self._assembly.lacks()]
        hidden += [] if self._months() else ["dates"]
        return [{"input": name, "hides": list(_HIDES[name])} for name in hidden]


_HIDES = {
    "costs": ("prices", "scenarios"),
    "inventory": ("systems", "vendors", "certification"),
    "organisations": ("party-names", "organisation-ids", "capabilities"),
    "receipts": ("missing-receipts", "receipt-delay"),
    "attachments": ("missing-attachments", "attachment-delay"),
    "dates": ("months", "rates", "open-pairs"),
}


def _merged(senders: Sequence[Mapping[str, Any]]) -> Rows:
    """Senders of several findings as one list; a number that is not told makes the sum of that sender untold."""
    sums: dict[str, int | None] = {}
    for one in senders:
        before = sums.get(one["party"], 0)
        sums[one["party"]] = None if before is None or one["messages"] is None else before + one["messages"]
    return [{"party": party, "messages": n} for party, n in sorted(sums.items(), key=lambda i: (-(i[1] or 0), i[0]))]

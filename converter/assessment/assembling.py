"""From the lines of a run to its tables: facts, coverage, clusters, pairs and findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from converter.assessment.collecting import ATTACHMENT, RECEIPT, Covered, Told
from converter.assessment.joining import Joining, month
from converter.assessment.measures import Measures
from converter.assessment.tables import SMALL, STATES
from converter.engine import EDIFACT, FHIR, Engine
from converter.flows import load_table
from converter.flows.table import FILE as FLOWS
from converter.issues import kind_of
from converter.ledger import Disposition


class Finding(NamedTuple):
    """What was found, apart from where and how often."""

    kind: str
    code: str
    driver: str
    severity: str
    type: str
    path: str

    @property
    def id(self) -> str:
        """The same in every run, and for every sender."""
        return f"{self.kind}:{self.code}:{self.type}:{self.path}"


@dataclass(slots=True)
class Found:
    """How often something was found, by sender."""

    messages: Counter[str] = field(default_factory=Counter)
    occurrences: Counter[str] = field(default_factory=Counter)

    def add(self, sender: str, messages: int, occurrences: int) -> None:
        """So often more."""
        self.messages[sender] += messages
        self.occurrences[sender] += occurrences

    def shown(self) -> dict[str, tuple[int | None, int | None]]:
        """By sender, small numbers not told; none by sender if all of them together are a small number.

        A single number that is left out could be told from the sum, so the next smallest then is left out too.
        """
        if self.messages.total() < SMALL:
            return {}
        small = {sender for sender, n in self.messages.items() if n < SMALL}
        others = sorted((n, sender) for sender, n in self.messages.items() if sender not in small)
        if len(small) == 1 and others:
            small.add(others[0][1])
        return {
            sender: (None, None) if sender in small else (n, self.occurrences[sender])
            for sender, n in sorted(self.messages.items())
        }


@dataclass(slots=True)
class Cluster:
    """Messages of one type and version that depart from their definition in one way."""

    type: str
    version: str
    differences: tuple[str, ...]
    messages: int = 0
    senders: set[str] = field(default_factory=set)
    months: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        """The same in every run with one key."""
        return cluster_id(self.type, self.version, self.differences)


def cluster_id(type_: str, version: str, differences: Iterable[str]) -> str:
    """What a cluster is called."""
    return "c" + sha256("\0".join((type_, version, *differences)).encode()).hexdigest()[:12]


class Assembly:
    """Takes the lines of a run in order. `facts` must be taken whole before anything else is asked for."""

    def __init__(self, engine: Engine, measures: Measures) -> None:
        self.engine, self.measures = engine, measures
        self.table = load_table(engine.folder / FLOWS)
        self.joining = Joining(self.table, measures)
        self.clusters: dict[str, Cluster] = {}
        self.findings: defaultdict[Finding, Found] = defaultdict(Found)
        self.tested: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._covered: Counter[tuple[str, str, str, str, bool, tuple[Covered, ...]]] = Counter()
        self._newest = {type_: newest(engine, type_) for type_ in engine.definitions.types}

    def facts(self, lines: Iterable[bytes], weights: Mapping[int, int] | None = None) -> Iterator[dict[str, Any]]:
        """A row of facts a line. `weights`: how many messages each chosen one stands for; the others have no row."""
        for line in lines:
            told = Told.of(line)
            n, is_copy = self.joining.add(told)
            weight = 1 if weights is None else weights.get(n, 0)
            if weight:
                yield {"message": n, **self._row(told, weight), "copy": is_copy, "weight": weight}

    def _row(self, told: Told, weight: int) -> dict[str, Any]:
        cluster = self._cluster(told, weight)
        targeted = bool(told.target)
        self._covered[told.type, told.version, told.syntax, told.sender, targeted, tuple(told.covered)] += weight
        self._find(told, cluster, weight)
        counts = Counter[str]()
        for one in told.covered:
            counts[one.state] += one.number
        weighty = Counter[bool]()
        for one in told.covered:
            if one.loss:
                weighty[self.severity(one.loss) != "info"] += one.number
        return {
            **{name: getattr(told, name) for name in _SAME},
            "month": month(told.written),
            "bytes": told.size,
            "leaves": counts.total() - counts["defaulted"],
            **{state: counts[state] for state in STATES},
            "losses": weighty[True],
            "info_losses": weighty[False],
            "cluster": cluster.id,
            "class": told.klass,
        }

    def severity(self, loss: str) -> str:
        """How bad a loss of the catalogue is."""
        return self.engine.mappings.losses[loss].severity if loss in self.engine.mappings.losses else ""

    def _cluster(self, told: Told, weight: int) -> Cluster:
        key = cluster_id(told.type, told.version, told.differences)
        cluster = self.clusters.get(key)
        if cluster is None:
            cluster = self.clusters[key] = Cluster(told.type, told.version, tuple(told.differences))
        cluster.messages += weight
        cluster.senders.add(told.sender)
        cluster.months.add(month(told.written))
        return cluster

    # -- findings ------------------------------------------------------------------------------------------------------

    def _find(self, told: Told, cluster: Cluster, weight: int) -> None:
        """What one message shows by itself, but for its fields."""
        measures, type_, sender = self.measures, told.type, told.sender

        def found(kind: str, code: str, driver: str, severity: str, *, path: str = "", number: int = 1) -> None:
            self.findings[Finding(kind, code, driver, severity, type_, path)].add(sender, weight, weight * number)

        found("volume", "", "messaging", "info")
        if not told.target:
            found("untargeted", "", "model", "error")
        for one in told.issues:
            severity = one.severity if one.severity != "table" else "warning"
            found("issue", one.code, measures.issue_driver(one.code), severity, path=one.path, number=one.number)
        if cluster.differences:
            found("cluster", cluster.id, "model", "warning", number=len(cluster.differences))
        for path, loss in told.causes:
            found(
                "roundtrip", loss or "undeclared", measures.loss_driver(loss), "warning" if loss else "error", path=path
            )
        for name in told.features:
            found("functional", name, "functional", "warning")
        for check in measures.quality:
            if check.name in told.checks:
                self.failed[check.name] += weight
                found("quality", check.name, check.driver, "warning")
        if self.is_old(told.type, told.version, told.syntax):
            found("version", "old", "messaging", "warning")

    def is_old(self, type_: str, version: str, syntax: str) -> bool:
        """Whether there is a newer version of that type in that syntax."""
        now = self._newest.get(type_, {}).get(syntax, "")
        return bool(now and version) and _age(version) < _age(now)

    def newest(self, type_: str, syntax: str) -> str:
        """The newest version of a type in a syntax."""
        return self._newest.get(type_, {}).get(syntax, "")

    def coverage(self) -> list[dict[str, Any]]:
        """The rows of the coverage; notes the findings about fields on the way, and what the checks were about."""
        rows: dict[tuple[str, ...], list[int]] = {}
        for (type_, version, syntax, sender, targeted, covered), n in sorted(self._covered.items()):
            fields = {one.field for one in covered}
            for check in self.measures.quality:
                self.tested[check.name] += n * check.is_about(fields)
            for one in covered:
                key = (type_, version, syntax, one.field, one.state, one.disposition, one.loss)
                row = rows.setdefault(key, [0, 0])
                row[0] += n * one.number
                row[1] += n
            if targeted:
                self._find_fields(type_, sender, covered, n)
        names = ("type", "version", "syntax", "field", "state", "disposition", "loss")
        return [
            {
                **dict(zip(names, key, strict=True)),
                "severity": self.severity(key[-1]),
                "occurrences": row[0],
                "messages": row[1],
            }
            for key, row in sorted(rows.items())
        ]

    def _find_fields(self, type_: str, sender: str, covered: tuple[Covered, ...], n: int) -> None:
        told: Counter[Finding] = Counter()
        for one in covered:
            if one.state == "unmapped":
                told[Finding("unmapped", one.loss or "no-rule", "model", "warning", type_, one.field)] += one.number
            elif one.loss and one.disposition != Disposition.MAPPED:
                severity = _SEVERITIES[self.severity(one.loss)]
                driver = self.measures.loss_driver(one.loss)
                told[Finding("loss", one.loss, driver, severity, type_, one.field)] += one.number
        for finding, number in told.items():
            self.findings[finding].add(sender, n, n * number)

    def pairs(self) -> Iterator[dict[str, Any]]:
        """The rows of the pairs; notes the findings about messages together on the way."""
        for row in self.joining.pairs():
            self._find_pair(row)
            yield row
        sent = self.joining.sent
        for issue in self.joining.log:
            if issue.code in _TOLD_AS_PAIRS:
                continue
            n = issue.at.line
            driver = self.measures.issue_driver(issue.code)
            finding = Finding("flow", issue.code, driver, str(issue.severity), sent.types[n], "")
            self.findings[finding].add(sent.senders[n], 1, 1)
        mixed = sum(number for _, number in self.joining.mixed())
        if mixed:
            self.findings[Finding("flow", "mixed-standards", "functional", "info", "", "")].add("", mixed, mixed)

    def _find_pair(self, row: dict[str, Any]) -> None:
        kind, state = row["kind"], row["state"]
        if kind == "copy":
            code = "copy"
        elif kind == "answer":
            return  # told by the findings of the flows
        elif state == "joined":
            if not row["late"]:
                return
            code = f"{kind}-late"
        else:
            code = f"{kind}-{state}"
        type_ = row["first_type"] or row["second_type"]
        severity = "info" if code == "copy" else "warning"
        sender = row["sender"] if row["first"] else row["receiver"]
        self.findings[Finding("messaging", code, "messaging", severity, type_, "")].add(sender, 1, 1)

    def rows_of_clusters(self) -> Iterator[dict[str, Any]]:
        """The rows of the clusters, the largest first."""
        for cluster in sorted(self.clusters.values(), key=lambda c: (-c.messages, c.id)):
            months = sorted(cluster.months - {""}) or [""]
            yield {
                "cluster": cluster.id,
                "type": cluster.type,
                "version": cluster.version,
                "differences": "\n".join(cluster.differences),
                "deviating": bool(cluster.differences),
                "messages": cluster.messages,
                "senders": len(cluster.senders),
                "first_month": months[0],
                "last_month": months[-1],
            }

    def rows_of_findings(self) -> Iterator[dict[str, Any]]:
        """The rows of the findings: each as a whole, then by sender where that may be told."""
        for finding, found in sorted(self.findings.items()):
            facts = {"finding": finding.id, **finding._asdict()}
            whole = {"messages": found.messages.total(), "occurrences": found.occurrences.total()}
            yield {**facts, "sender": "", **whole}
            for sender, (messages, occurrences) in found.shown().items():
                if sender:
                    yield {**facts, "sender": sender, "messages": messages, "occurrences": occurrences}

    def said(self, finding: Finding) -> tuple[str, str]:
        """The name of a finding and what it says, in words of the catalogues."""
        if finding.kind in ("issue", "flow") and finding.code[3:].isdigit():
            kind = kind_of(finding.code)
            return kind.name, kind.why
        if finding.kind == "untargeted" and self.table.attachments and finding.type in self.table.attachments.types:
            return "no-target", _SAID["alone"]
        if finding.kind == "untargeted":
            return "no-target", self.engine.mappings.without.get(finding.type, _SAID["untargeted"])
        loss = self.engine.mappings.losses.get(finding.code)
        if loss is not None:
            return finding.code, loss.what
        return finding.code or finding.kind, _SAID.get(finding.code, _SAID.get(finding.kind, ""))

    def lacks(self) -> list[str]:
        """The roles that no message of the corpus has."""
        return [role for role in (RECEIPT, ATTACHMENT) if not self.joining.has(role)]


_SAME = (
    "type", "version", "syntax", "role", "envelope", "sender", "receiver", "patient", "attachments", "longest_text",
    "target", "state", "refused", "round_trip", "errors", "warnings",
)  # fmt: skip
_SEVERITIES = {"": "warning", "info": "info", "warn": "warning", "block": "error"}
# Told by the pairs, with their delays.
_TOLD_AS_PAIRS = ("FLW006", "FLW010", "FLW011")
_SAID = {
    "volume": "messages of this type",
    "untargeted": "there is no mapping to FHIR",
    "alone": "no message of its own: its objects travel in the message of the letter that names them",
    "unmapped": "no rule carries the value",
    "cluster": "departs from the definition of its type and version",
    "undeclared": "does not come back as it was, and no loss says so",
    "old": "there is a newer version of the type",
    "copy": "the same message was sent before",
    "receipt-missing": "asks for a receipt, and none is here",
    "receipt-late": "the receipt came late",
    "receipt-orphan": "a receipt for a message that is not here",
    "attachment-missing": "names an object that is not here",
    "attachment-late": "the object came late",
    "attachment-orphan": "holds an object that no letter names",
    "mixed-standards": "letters of several agreements about one patient between two parties",
    "functional": "needs a change inside systems",
    "quality": "fails a check on the content",
}


def newest(engine: Engine, type_: str) -> dict[str, str]:
    """The newest version of a type by syntax: in EDIFACT only those whose layout is published."""
    known = [engine.definitions.get(type_, version) for version in engine.definitions.types[type_]]
    layouts = [one.version for one in known if one is not None and one.edifact]
    versions = [one.version for one in known if one is not None]
    found = {EDIFACT: max(layouts, key=_age, default=""), FHIR: ""}
    return {**found, "oioxml": max(versions, key=_age, default="")}


def _age(version: str) -> tuple[int, str]:
    """Versions of one type differ in their number."""
    digits = "".join(c for c in version if c.isdigit())
    return int(digits or 0), version

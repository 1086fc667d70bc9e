"""What a report is about: an assessment as it was read, with its findings in order and the words for what it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from markupsafe import Markup, escape

from converter.assessment.report.blocks import linked
from converter.assessment.report.language import FEW, Language
from converter.naming import Names

WITHHELD = "·"
"""Stands for a number that is withheld and may be larger than a small one."""
_SHORT = 9
"""Characters of a keyed digest that are shown: enough to tell parties apart, and to find the whole in the tables."""

_PLAIN = ("untargeted", "unmapped", "volume")
"""Kinds of findings of which the text of the kind says all."""


@dataclass(frozen=True)
class Subject:
    """The files of an assessment, and the language in which they are told."""

    summary: Mapping[str, Any]
    language: Language
    names: Names
    priced: Mapping[str, Any] | None = None
    assumptions: Sequence[Mapping[str, Any]] = ()
    manifest: Mapping[str, Any] | None = None
    operation: Mapping[str, Any] | None = None
    referred: set[str] = field(default_factory=set)
    """The findings that something refers to so far, by F-number: these are listed, however many there are."""

    # -- findings ------------------------------------------------------------------------------------------------------

    @cached_property
    def points(self) -> Counter[str]:
        """Effort points by the finding that causes them."""
        found: Counter[str] = Counter()
        for row in self.summary["effort"]["rows"]:
            found[row["finding"]] += row["points"]
        return found

    def worth(self, finding: str) -> str:
        """The points that a finding causes; a dash for one that costs nothing."""
        return self.language.number(self.points[finding], 1) if self.points[finding] else "–"

    @cached_property
    def findings(self) -> list[Mapping[str, Any]]:
        """All findings: those that cost most first, then those that strike most messages."""

        def order(one: Mapping[str, Any]) -> tuple[Any, ...]:
            counted = one["kind"] == "volume"
            return counted, -self.points[one["finding"]], -(one["messages"] or 0), one["finding"]

        return sorted(self.summary["findings"], key=order)

    @cached_property
    def labels(self) -> dict[str, str]:
        """The F-number of each finding."""
        return {one["finding"]: f"F{number}" for number, one in enumerate(self.findings, 1)}

    def refer(self, finding: str | None) -> Markup:
        """The F-number of a finding, as a link; nothing for a finding that is not there."""
        label = self.labels.get(finding or "", "")
        self.referred.add(label)
        return linked(label, label) if label else Markup()

    def refers(self, findings: Sequence[str], most: int = 4) -> Markup:
        """Several of them."""
        told = [link for link in map(self.refer, findings) if link]
        rest = Markup(" …") if len(told) > most else Markup()
        return Markup(" ").join(told[:most]) + rest

    def describe(self, finding: Mapping[str, Any]) -> Markup:
        """What a finding is, in the language of the report; the catalogue's own words stay English."""
        said = self.language(
            f"kind.{finding['kind']}" if f"kind.{finding['kind']}" in self.language else "kind.other",
            field=self.field(finding["path"]),
            type=self.type(finding["type"]),
            kind=finding["kind"],
        )
        if f"code.{finding['code']}" in self.language:
            return said + Markup(" – ") + self.language(f"code.{finding['code']}")
        if finding["kind"] in _PLAIN:
            return said
        if finding["kind"] == "cluster":
            return said + self.differences(finding["finding"])
        catalogued = finding["kind"] in ("issue", "flow")
        what = f"{finding['code']} {finding['name']}" if catalogued else finding["what"] or finding["name"]
        return said + Markup(' <span class="quiet" lang="en">{}</span>').format(what)

    @cached_property
    def _clusters(self) -> dict[str, Mapping[str, Any]]:
        return {one["finding"]: one for one in self.summary["clusters"]["rows"] if one["finding"]}

    def differences(self, finding: str, most: int = 2) -> Markup:
        """By what the messages of a cluster depart from the standard."""
        held = self._clusters.get(finding, {"differences": ()})["differences"]
        told = [Markup(" <code>{}</code> {}").format(one["code"], self.field(one["path"])) for one in held[:most]]
        rest = Markup(" …") if len(held) > most else Markup()
        return Markup(",").join(told) + rest

    # -- names ---------------------------------------------------------------------------------------------------------

    def field(self, path: str) -> str:
        """What a field is called."""
        return self._chosen(self.names.of_path(path)) if path else str(self.language("whole-message"))

    def type(self, type_: str) -> str:
        """A letter type with its name."""
        if not type_:
            return str(self.language("all-types"))
        name = self._chosen(self.names.of_type(type_))
        return f"{type_} {name}" if name else type_

    def _chosen(self, names: tuple[str, str]) -> str:
        danish, english = names
        return danish or english if self.language.code == "da" else english

    @cached_property
    def _parties(self) -> dict[str, str]:
        return {one["party"]: one["name"] for one in self.summary["parties"]}

    def party(self, party: str) -> Markup:
        """The name of a party, or the beginning of its code."""
        if not party:
            return self.language("nobody")
        name = self._parties.get(party, "")
        return escape(name) if name else Markup("<code>{}</code>").format(party[:_SHORT])

    def known(self, prefix: str, code: str) -> Markup:
        """The text for a code, or the code itself."""
        return self.language.known(f"{prefix}.{code}", code)

    @property
    def missing(self) -> list[Mapping[str, Any]]:
        """What was not given when messages were read, and not when they were priced either."""
        given = {"costs"} if self.priced and self.priced["currency"] else set()
        return [one for one in self.summary["missing_inputs"] if one["input"] not in given]

    # -- numbers -------------------------------------------------------------------------------------------------------

    @property
    def messages(self) -> int:
        """All messages."""
        return int(self.summary["corpus"]["messages"])

    def share(self, part: int | None) -> float | None:
        """A part of all messages as a share of 1; None where the part is withheld, or there are no messages."""
        return None if part is None or not self.messages else part / self.messages

    def of_all(self, part: int | None, headline: str = "") -> str:
        """The same in words, with the error of that headline if only a sample was assessed."""
        error = self.error(headline)
        return self.language.percent(self.share(part)) + (f" ± {error}" if error else "")

    def error(self, headline: str) -> str:
        """How far the share of a headline may be off; empty if every message was assessed."""
        errors = (self.summary["corpus"]["sample"] or {}).get("error", {})
        return self.language.percent(errors[headline]) if headline in errors else ""

    def effort(self, kind: str) -> Markup:
        """What a kind of work is called."""
        change = f"code.{kind.removeprefix('change-')}"
        return self.language(change) if change in self.language else self.known("effort", kind)

    # -- small numbers -------------------------------------------------------------------------------------------------

    @staticmethod
    def many(number: int | None) -> bool:
        """Whether a number of messages may be told where it could be that of one sender."""
        return number is not None and not 0 < number < FEW

    def few(self, number: int | None) -> str:
        """A number of messages that may be that of one sender: small ones are not told."""
        return self.language.count(number if self.many(number) else None)

    def guarded(self, senders: Sequence[Mapping[str, Any]], total: int) -> dict[str, str]:
        """Messages by sender as they may be told, of a total that is told.

        Where a single number was small, the assessment withholds the next smallest with it, else the total would tell
        it: then neither is said to be small. A single one that is withheld all the same gets company here.
        """
        told = {one["party"]: one["messages"] for one in senders}
        held = [party for party, number in told.items() if not self.many(number)]
        open_ = [party for party, number in told.items() if number and self.many(number)]
        if len(held) == 1 and open_:
            held.append(min(open_, key=lambda party: (told[party], party)))
        hidden = total - sum(told[party] or 0 for party in told if party not in held)
        # One small number and one that is not make 6 at the least.
        small = hidden <= FEW if len(held) == 2 else hidden < FEW * len(held)
        withheld = f"<{FEW}" if small else WITHHELD
        return {party: withheld if party in held else self.few(number) for party, number in told.items()}

    def period(self) -> str:
        """From the first to the last month."""
        corpus, language = self.summary["corpus"], self.language
        if not corpus["first_month"]:
            return str(language("period-unknown"))
        first, last = (language.month(corpus[key]) for key in ("first_month", "last_month"))
        return first if first == last else str(language("period", first=first, last=last))

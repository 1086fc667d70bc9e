"""A sample of a corpus that is too large to be assessed whole: so many messages of each type, version and sender.

Every message is read, so volumes, receipts, answers and attachments are those of all; only what is chosen is converted,
and stands for the others of its stratum. Which ones follows from the key of the run.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import sqrt
from typing import Any

from converter.assessment.collecting import Told
from converter.assessment.metrics import Questions
from converter.assessment.tables import Keys

_SURE = 1.96  # standard errors to either side that hold the true share 95 times of 100
_SHARES = {"without_loss": "state in ('mapped', 'defaulted')", "automatic": "class in ('A', 'B')"}


@dataclass(frozen=True)
class Sample:
    """What was chosen: contents, and how many messages each chosen one stands for, by number."""

    least: int
    strata: int
    messages: int
    contents: frozenset[str]
    weights: Mapping[int, int] = field(default_factory=dict)

    def as_json(self, questions: Questions) -> dict[str, Any]:
        """For the summary: how it was drawn, and how far shares may be off (95 %, stratified)."""
        told = {"least": self.least, "strata": self.strata, "assessed": len(self.weights), "messages": self.messages}
        return {**told, **{f"error_{name}": self._error(questions, of) for name, of in _SHARES.items()}}

    def _error(self, questions: Questions, of: str) -> float:
        strata = questions.rows(
            f"select sum(weight)::bigint as whole, count(*) as n, count(*) filter ({of}) as having from facts "
            "group by type, version, sender order by all"
        )
        variance = 0.0
        for row in strata:
            whole, n, share = row["whole"], row["n"], row["having"] / row["n"]
            if n > 1:
                variance += (whole / self.messages) ** 2 * (1 - n / whole) * share * (1 - share) / (n - 1)
        return round(_SURE * sqrt(variance), 6)


def choose(lines: Iterable[bytes], keys: Keys, least: int) -> Sample:
    """Choose `least` messages of each stratum, all where there are fewer, from the lines of a first reading."""
    strata: defaultdict[tuple[str, str, str], defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    messages = 0
    for messages, line in enumerate(lines, 1):
        told = Told.of(line)
        strata[told.type, told.version, told.sender][told.cid].append(messages)
    secret, contents, weights = keys.derived("sample"), set[str](), dict[int, int]()
    for stratum in strata.values():
        chosen: list[int] = []
        for cid in sorted(stratum, key=lambda cid: hmac.digest(secret, cid.encode(), sha256)):
            if len(chosen) >= least:
                break
            contents.add(cid)
            chosen += stratum[cid]
        weights |= _shared(sum(map(len, stratum.values())), sorted(chosen))
    return Sample(least, len(strata), messages, frozenset(contents), weights)


def _shared(whole: int, chosen: Sequence[int]) -> dict[int, int]:
    """How many of a stratum each chosen message stands for: whole numbers that make up all of it."""
    each, more = divmod(whole, len(chosen))
    return {n: each + (place < more) for place, n in enumerate(chosen)}

"""Six timings of a move, as amounts of work, traffic and parties by month; prices come later, in `pricing`.

Who moves when is decided for each party and letter type, so the traffic between parties that have moved and others is
that of the sender × receiver matrix, and no global date is needed. With n of N parties moved and even traffic that is
2·p·(1-p) of all messages, p = n/N.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from converter.assessment.pricing_inputs import Timing

ONE_OFF, DUAL, CONVERTER, LOSS = "one-off", "dual-running", "converter", "residual-loss"
UPKEEP, LICENCE = "upkeep", "licence"
TERMS = (ONE_OFF, DUAL, CONVERTER, LOSS, UPKEEP, LICENCE)
WORK = ("hours.per_point", "points.factor", "rate.hour")
"""What a point costs: the product of these."""
_BUILD_LATER = "S4.repeat"


@dataclass
class Amount:
    """A term of the sum: the product of these inputs, times so much in each month.

    `once` holds lumps by month; `change` by how much what runs on changes in a month, from `before` on.
    `grows`: it grows with `upkeep.growth` from the first month on.
    """

    term: str
    inputs: tuple[str, ...]
    once: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    change: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    before: float = 0.0
    grows: bool = False

    def by_month(self, start: int, horizon: int, slip: int) -> list[float]:
        """How much in each month, if all dates slip by so many months.

        Lumps outside are put into the first or last month: work must be done before the horizon, or was begun before.
        """
        size = horizon - start + 1
        found, running = [0.0] * size, self.before
        for month, amount in self.once.items():
            found[min(max(month + slip - start, 0), size - 1)] += amount
        if not self.change and not running:
            return found
        changes = [0.0] * size
        for month, amount in self.change.items():
            at = month + slip - start
            if at < size:
                changes[max(at, 0)] += amount
        for at in range(size):
            running += changes[at]
            found[at] += running
        return found

    def over(self, first: int, last: int, amount: float) -> None:
        """So much in every month from `first` on, but no more from `last` on."""
        if first < last:
            self.change[first] += amount
            self.change[last] -= amount


@dataclass(frozen=True)
class Traffic:
    """What the summary of an assessment says of traffic and work."""

    matrix: tuple[tuple[str, str, str, float], ...]
    """Sender, receiver, type, messages a month."""
    points: Mapping[str, tuple[float, float]]
    """By type: points of functional change, and others. Points of no type stand under the empty one."""
    lossy: Mapping[str, float]
    """By type: the share of messages that lose something."""
    names: Mapping[str, str]
    untargeted: frozenset[str]
    kilobytes: float
    """Mean size of a message."""
    open_pairs: float

    @classmethod
    def of(cls, summary: Mapping[str, Any], months: int | None) -> Traffic | None:
        """The traffic of a summary; None if nobody says over how many months it is spread."""
        measured = months or summary["operation"]["months"]
        if not measured:
            return None
        corpus = summary["corpus"]
        coverage = summary["coverage"]["by_type"]
        return cls(
            tuple(
                (row["sender"], row["receiver"], row["type"], (row["messages"] or 0) / measured)
                for row in summary["volume"]["matrix"]
            ),
            _points(summary["effort"]["rows"], summary["effort"]["points"]),
            {t: 1 - good / all_ for t, (good, all_) in _sums(coverage).items() if all_},
            {party["name"]: party["party"] for party in summary["parties"] if party["name"]},
            frozenset(row["type"] for row in summary["findings"] if row["kind"] == "untargeted"),
            corpus["bytes"] / corpus["messages"] / 1000 if corpus["messages"] else 0.0,
            summary["operation"]["retained_pairs"],
        )


def _sums(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        good, all_ = found.get(row["type"], (0, 0))
        found[row["type"]] = good + row["without_loss"], all_ + row["messages"]
    return found


def _points(rows: Iterable[Mapping[str, Any]], total: float) -> dict[str, tuple[float, float]]:
    """The points of each type; what the rows do not explain stands under no type, so that none gets lost."""
    found: dict[str, tuple[float, float]] = {}
    for row in rows:
        functional, other = found.get(row["type"], (0.0, 0.0))
        if row["driver"] == "functional":
            functional += row["points"]
        else:
            other += row["points"]
        found[row["type"]] = functional, other
    functional, other = found.get("", (0.0, 0.0))
    rest = total - sum(map(sum, found.values()))
    if abs(rest) > 1e-6:
        found[""] = functional, other + rest
    return found


Own = int | None
"""The month that a party has of its own; None: it moves with the wave."""
Date = Callable[[Own, str], int]
"""The month in which a party with such a month moves a letter type."""


class Scenarios:
    """The amounts of each scenario, for one traffic and one timing.

    Parties with the same month of their own move alike, so a matrix of any size is summed up once, by these months.
    """

    def __init__(self, traffic: Traffic, timing: Timing) -> None:
        self.traffic, self.timing = traffic, timing
        self._waves = {one: wave for wave in timing.waves for one in wave.types}
        stays = frozenset() if timing.move_without_target else traffic.untargeted
        self.matrix = [row for row in traffic.matrix if row[2] not in stays]
        self.points = {t: found for t, found in traffic.points.items() if t not in stays}
        self.left_out = sum(sum(traffic.points[t]) for t in stays if t in traffic.points)
        """Points of types that have no target and so stay as they are."""
        self._types: dict[str, set[str]] = defaultdict(set)
        for sender, receiver, kind, _ in self.matrix:
            for party in (sender, receiver):
                self._types[party].add(kind)
        self.own = self._dates()
        self.rows = self._summed()
        """Month of the sender, month of the receiver, type, messages a month."""
        self._movers = Counter((kind, self.own.get(party)) for party, kinds in self._types.items() for kind in kinds)
        self._met = self._meetings()
        self._alike = Counter((self.own.get(party), frozenset(kinds)) for party, kinds in self._types.items())

    @property
    def parties(self) -> list[str]:
        """All parties of the matrix that move."""
        return sorted(self._types)

    def unknown(self) -> list[str]:
        """Parties of the timing that the assessment does not have."""
        known = {*self._types, *(p for row in self.traffic.matrix for p in row[:2])}
        return sorted(one for one in self.timing.parties if self.traffic.names.get(one, one) not in known)

    def _dates(self) -> dict[str, int]:
        """The month of each party that has one of its own; `spread` deals the others out evenly, by their ids."""
        timing = self.timing
        own = {self.traffic.names.get(one, one): month for one, month in timing.parties.items()}
        others = [party for party in self.parties if party not in own]
        for number, party in enumerate(others):
            if timing.spread is not None:
                first, last = timing.spread
                own[party] = first + round((last - first) * number / max(len(others) - 1, 1))
            elif timing.date is not None:
                own[party] = timing.date
        return own

    def _summed(self) -> list[tuple[Own, Own, str, float]]:
        sums: dict[tuple[Own, Own, str], float] = defaultdict(float)
        for sender, receiver, kind, messages in self.matrix:
            sums[self.own.get(sender), self.own.get(receiver), kind] += messages
        return [(*key, messages) for key, messages in sums.items()]

    def _meetings(self) -> Counter[tuple[Own, frozenset[tuple[str, Own]]]]:
        """How many parties have a month of their own and exchange these types with parties of these months."""
        met: dict[str, set[tuple[str, Own]]] = defaultdict(set)
        for sender, receiver, kind, _ in self.matrix:
            met[sender].add((kind, self.own.get(receiver)))
            met[receiver].add((kind, self.own.get(sender)))
        return Counter((self.own.get(party), frozenset(found)) for party, found in met.items())

    def _wave(self, kind: str) -> int:
        return (self._waves.get(kind) or self._waves["*"]).month

    def _with_waves(self, own: Own, kind: str) -> int:
        return max(self._wave(kind), own or 0)

    def amounts(self, scenario: str) -> list[Amount]:
        """The amounts of a scenario, S0 to S5."""
        makers = {"S0": self._s0, "S1": self._s1, "S2": self._s2, "S3": self._s3, "S4": self._s4, "S5": self._s5}
        return [amount for amount in makers[scenario]() if amount.once or amount.change or amount.before]

    def _s0(self) -> Iterator[Amount]:
        """Stay: everything moves in the last month, by force."""
        end = lambda own, kind: self.timing.horizon  # noqa: E731
        yield from self._work(end, "S0.risk")
        yield from self._parties(end)

    def _s1(self) -> Iterator[Amount]:
        """Big bang: all parties move a type in the month of its wave, so that nothing runs twice."""
        wave = lambda own, kind: self._wave(kind)  # noqa: E731
        yield from self._work(wave, "S1.risk")
        yield from self._parties(wave)

    def _s2(self) -> Iterator[Amount]:
        """Waves: each type in its wave, each party not before its own date; both formats in between."""
        yield from self._work(self._with_waves)
        yield from self._parties(self._with_waves)
        yield from self._dual(self._with_waves)

    def _s3(self) -> Iterator[Amount]:
        """A converter stands between those who have moved and those who have not; these move later by the delay."""
        later = lambda own, kind: self._with_waves(own, kind) + self.timing.delay  # noqa: E731
        yield from self._work(later)
        yield from self._parties(later)
        yield from self._converter(later)

    def _s4(self) -> Iterator[Amount]:
        """The format now, the content later: a second project, and losses until then."""
        content = self.timing.content if self.timing.content is not None else self.timing.horizon

        def late(own: Own, kind: str) -> int:
            return max(content, self._with_waves(own, kind))

        yield self._spread(ONE_OFF, WORK, self._with_waves, lambda kind: self.points[kind][1])
        yield self._spread(ONE_OFF, WORK, late, lambda kind: self.points[kind][0])
        yield self._spread(ONE_OFF, (*WORK, _BUILD_LATER), late, lambda kind: self.points[kind][1])
        yield from self._parties(self._with_waves)
        yield from self._dual(self._with_waves)
        loss = Amount(LOSS, ("loss.message",))
        for sender, _, kind, messages in self.rows:
            loss.over(self._with_waves(sender, kind), late(sender, kind), messages * self.traffic.lossy.get(kind, 0.0))
        yield loss

    def _s5(self) -> Iterator[Amount]:
        """Everything of a party at once, at its own date, or with the last wave."""
        last = max(wave.month for wave in self.timing.waves)
        date = lambda own, kind: last if own is None else own  # noqa: E731
        yield from self._work(date)
        yield from self._parties(date)
        yield from self._dual(date)

    # -- what scenarios are made of

    def _work(self, date: Date, risk: str = "") -> Iterator[Amount]:
        """One-off work, and what a risk adds to it."""
        for inputs in (WORK, *([(*WORK, risk)] if risk else ())):
            yield self._spread(ONE_OFF, inputs, date, lambda kind: sum(self.points[kind]))

    def _spread(self, term: str, inputs: tuple[str, ...], date: Date, points: Callable[[str], float]) -> Amount:
        """The points of each type, in equal shares of its parties, over the build window before their dates."""
        amount, build = Amount(term, inputs), self.timing.build
        for kind in self.points:
            movers = {own: number for (one, own), number in self._movers.items() if one == kind} or {None: 1}
            each = points(kind) / sum(movers.values()) / build
            for own, number in movers.items():
                moves = date(own, kind)
                for month in range(moves - build, moves):
                    amount.once[month] += number * each
        return amount

    def _parties(self, date: Date) -> Iterator[Amount]:
        """What each party pays: a test for each of its waves, training, licences; upkeep until it has moved."""
        tests, training = Amount(ONE_OFF, ("certification.each",)), Amount(ONE_OFF, ("training.party",))
        licence, upkeep = Amount(LICENCE, ("licence.month",)), Amount(UPKEEP, ("upkeep.month",), grows=True)
        for (own, kinds), number in self._alike.items():
            dates = {kind: date(own, kind) for kind in kinds}
            first, last = min(dates.values()), max(dates.values())
            for _, month in {((self._waves.get(kind) or self._waves["*"]), month) for kind, month in dates.items()}:
                tests.once[month] += number
            training.once[first] += number
            licence.change[first] += number
            upkeep.before += number
            upkeep.change[last] -= number
        yield from (tests, training, licence, upkeep)

    def mixed(self, date: Date) -> Iterator[tuple[str, float, int, int]]:
        """Type and messages a month of the rows whose two ends do not move together, and from and to which month."""
        for sender, receiver, kind, messages in self.rows:
            ends = date(sender, kind), date(receiver, kind)
            if ends[0] != ends[1]:
                yield kind, messages, min(ends), max(ends)

    def _dual(self, date: Date) -> Iterator[Amount]:
        """Both formats at every party that has mixed traffic: twice the operation, and support; messages sent twice."""
        operation = Amount(DUAL, ("dual_running.operation",))
        support = Amount(DUAL, ("dual_running.support",))
        sent, kilobytes = Amount(DUAL, ("vans.message",)), Amount(DUAL, ("vans.kilobyte",))
        for _, messages, first, last in self.mixed(date):
            sent.over(first, last, messages)
            kilobytes.over(first, last, messages * self.traffic.kilobytes)
        moves = {(kind, own): date(own, kind) for kind, own in self._movers}
        for (own, met), number in self._met.items():
            ends = {(moves[kind, own], moves[kind, other]) for kind, other in met}
            for first, last in joined([(min(pair), max(pair)) for pair in ends if pair[0] != pair[1]]):
                operation.over(first, last, 2 * number)
                support.over(first, last, number)
        yield from (operation, support, sent, kilobytes)

    def _converter(self, date: Date) -> Iterator[Amount]:
        """A converter from the first mixed month to the last, what goes through it, and what it loses."""
        build, operation = Amount(CONVERTER, ("converter.build",)), Amount(CONVERTER, ("converter.operation",))
        through = Amount(CONVERTER, ("converter.thousand_messages",))
        pairs = Amount(CONVERTER, ("converter.thousand_open_pairs",))
        loss = Amount(LOSS, ("loss.message",))
        rows = list(self.mixed(date))
        total = sum(messages for *_, messages in self.rows)
        for kind, messages, first, last in rows:
            through.over(first, last, messages / 1000)
            pairs.over(first, last, self.traffic.open_pairs / 1000 * messages / total)
            loss.over(first, last, messages * self.traffic.lossy.get(kind, 0.0))
        if rows:
            first, last = min(row[2] for row in rows), max(row[3] for row in rows)
            build.once[first] += 1
            operation.over(first, last, 1)
        yield from (build, operation, through, pairs, loss)


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of months without their overlaps."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found

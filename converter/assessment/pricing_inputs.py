"""What a user says of costs and timings: two TOML files. Nothing has a price unless it stands there.

A fault names file, line and key, and all faults of a file are told together. A number may be one number, or a range
`{low = 1, likely = 2, high = 4}`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

from converter.errors import ConverterError

ENDS = ("low", "likely", "high")


class AssumptionsError(ConverterError):
    """The files of costs and scenarios cannot be used; `faults` are all of them, a line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Range:
    """A number that is not known better than this. `origin` is the place where it was given."""

    low: float
    likely: float
    high: float
    origin: str = ""

    def at(self, share: float) -> float:
        """The number below which this share of a triangular distribution lies (its inverse)."""
        width = self.high - self.low
        if not width:
            return self.low
        turn = (self.likely - self.low) / width
        if share < turn:
            return self.low + sqrt(share * width * (self.likely - self.low))
        return self.high - sqrt((1 - share) * width * (self.high - self.likely))


COSTS: Mapping[str, str] = {
    "hours.per_point": "hours for a point of effort",
    "points.factor": "what the points of the assessment are multiplied with, 1 if not given",
    "rate.hour": "price of an hour",
    "certification.each": "test and certification of one wave at one party",
    "training.party": "training of users at one party, once",
    "licence.month": "licences for the new format, per party that has moved, a month",
    "dual_running.operation": "operation of one of two formats at a party that runs both, a month",
    "dual_running.support": "support of a party that runs both formats, a month",
    "converter.build": "setting up a converter, once",
    "converter.operation": "operation of a converter, a month",
    "converter.thousand_messages": "a thousand messages through the converter",
    "converter.thousand_open_pairs": "keeping what a thousand unanswered messages need, a month",
    "vans.message": "a message on the network that has to be sent in another format too",
    "vans.kilobyte": "a kilobyte of it",
    "loss.message": "what a converted message that loses something costs in work outside of the systems",
    "upkeep.month": "upkeep of the older format at a party that has not moved, a month",
    "upkeep.growth": "by how much of itself that grows a year (0.1 is a tenth)",
}
"""The inputs of a cost file, by key, and what each means. All but the hours of a point count as nothing if absent."""
SCENARIO_RANGES: Mapping[str, str] = {
    "slip.months": "by how many months all dates slip",
    "S0.risk": "what a forced move at the end adds to one-off work, as a share of it",
    "S1.risk": "what failures of a big bang add to one-off work, as a share of it",
    "S4.repeat": "the share of the technical work that is done again with the content",
}
"""The ranges of a scenario file. Absent: nothing."""
SHARES = ("upkeep.growth", "S0.risk", "S1.risk", "S4.repeat")
"""Inputs without a unit of money or time."""

_SCENARIO_KEYS = {
    "": {"start", "horizon", "seed", "draws", "scenarios", "months", "without_target"},
    "build": {"months"},
    "parties": {"date", "first", "last"},
    "S3": {"delay"},
    "S4": {"content"},
}
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])\Z")
IDS = ("S0", "S1", "S2", "S3", "S4", "S5")


@dataclass(frozen=True)
class Costs:
    """A cost file: its ranges by key. `currency` is empty where no prices are given."""

    currency: str = ""
    ranges: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class Wave:
    """Letter types that move together in a month (counted from year 0); `*` stands for all that no wave names."""

    name: str
    types: tuple[str, ...]
    month: int


@dataclass(frozen=True)
class Timing:
    """A scenario file. Months are counted from year 0. `months`: how long the corpus is, where it does not say."""

    start: int
    horizon: int
    waves: tuple[Wave, ...]
    parties: Mapping[str, int]
    build: int = 12
    seed: int = 1
    draws: int = 1000
    scenarios: tuple[str, ...] = IDS
    date: int | None = None
    spread: tuple[int, int] | None = None
    months: int | None = None
    move_without_target: bool = False
    delay: int = 0
    content: int | None = None
    ranges: Mapping[str, Range] = field(default_factory=dict)


def month_of(text: str) -> int | None:
    """`2027-03` counted in months from year 0; None if it is none."""
    match = _MONTH.match(text)
    return int(match[1]) * 12 + int(match[2]) - 1 if match else None


def month_text(month: int) -> str:
    """`2027-03` of a month counted from year 0."""
    return f"{month // 12:04}-{month % 12 + 1:02}"


class _File:
    """A TOML file, and where its keys stand."""

    def __init__(self, path: Path) -> None:
        self.name, self.faults = path.name, list[str]()
        try:
            self.text = path.read_text(encoding="utf-8")
            self.content: dict[str, Any] = tomllib.loads(self.text)
        except UnicodeDecodeError:
            raise AssumptionsError([f"{path.name}: is not UTF-8"]) from None
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
            where = f":{place[1]}:{place[2]}" if place else ""
            told = str(error).partition(" (at")[0]
            raise AssumptionsError([f"{path.name}{where}: is no TOML: {told}"]) from None

    def place(self, key: str, number: int = 0) -> str:
        """File and line of a dotted key; `number` counts tables of one name, from 0."""
        table, _, last = key.rpartition(".")
        above, seen, best = "", -1, 0
        for line, text in enumerate(self.text.splitlines(), 1):
            if match := re.match(r"\s*\[\[?\s*([\w.\"'-]+?)\s*\]\]?", text):
                above = match[1]
                seen += above == table
                if above == key and not best:
                    best = line
                continue
            match = re.match(r"\s*([\w.\"'-]+?)\s*=", text)
            if match is None:
                continue
            name = f"{above}.{match[1]}" if above else match[1]
            if name == key and (above != table or seen in (number, -1) or not table):
                return f"{self.name}:{line}"
            if name == table and last in text and not best:
                best = line
        return f"{self.name}:{best or 1}"

    def fault(self, key: str, problem: str, number: int = 0) -> None:
        """Note a fault."""
        self.faults.append(f"{self.place(key, number)}: {key}: {problem}")

    def unknown(self, key: str, number: int = 0) -> None:
        """Note a key that means nothing."""
        self.fault(key, "unknown key", number)

    def leaves(self, tables: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
        """All values by dotted key; a range is one value."""
        for name, value in tables.items():
            key = f"{above}.{name}" if above else name
            if isinstance(value, dict) and not set(value) & set(ENDS):
                yield from self.leaves(value, key)
            else:
                yield key, value

    def range(self, key: str, value: Any) -> Range | None:
        """A range, or a number as one; None, with a fault, for something else."""
        ends = value if isinstance(value, dict) else dict.fromkeys(ENDS, value)
        if missing := [end for end in ENDS if end not in ends]:
            self.fault(key, f"{', '.join(missing)} missing")
            return None
        if more := sorted(set(ends) - set(ENDS)):
            self.fault(key, f"unknown key {', '.join(more)}")
            return None
        if wrong := [end for end in ENDS if isinstance(ends[end], bool) or not isinstance(ends[end], int | float)]:
            self.fault(key, f"{', '.join(wrong)} must be a number")
            return None
        low, likely, high = (float(ends[end]) for end in ENDS)
        if not all(abs(end) < 1e15 for end in (low, likely, high)):
            self.fault(key, "must be below 1,000,000,000,000,000")
            return None
        if low < 0:
            self.fault(key, "must not be negative")
            return None
        if not low <= likely <= high:
            self.fault(key, "low, likely and high must stand in that order")
            return None
        return Range(low, likely, high, self.place(key))

    def month(self, key: str, value: Any, number: int = 0) -> int | None:
        """A month; None, with a fault, for something else."""
        found = month_of(value) if isinstance(value, str) else None
        if found is None:
            self.fault(key, "must be a month such as 2027-03", number)
        return found

    def whole(self, key: str, value: Any, low: int, high: int) -> int | None:
        """A whole number; None, with a fault, for something else."""
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(key, f"must be a whole number from {low} to {high}")
            return None
        return value

    def done(self) -> None:
        """Raise `AssumptionsError` if there were faults."""
        if self.faults:
            raise AssumptionsError(self.faults)


def read_costs(path: Path) -> Costs:
    """A cost file. Raises `AssumptionsError`."""
    file, ranges = _File(path), dict[str, Range]()
    currency = file.content.pop("currency", "")
    if not isinstance(currency, str) or not re.fullmatch(r"([A-Z]{3})?", currency):
        file.fault("currency", "must be three capital letters such as DKK")
        currency = ""
    for key, value in file.leaves(file.content):
        if key not in COSTS:
            file.unknown(key)
        elif (found := file.range(key, value)) is not None:
            ranges[key] = found
    priced = [key for key in ranges if key not in ("hours.per_point", "points.factor", *SHARES)]
    if "hours.per_point" not in ranges and not any("hours.per_point" in fault for fault in file.faults):
        file.faults.append(f"{file.name}:1: hours.per_point: missing: without it, points have no size")
    if priced and not currency:
        file.faults.append(f"{file.name}:1: currency: missing, and {priced[0]} is a price")
    if priced and "rate.hour" not in ranges and not file.faults:
        file.faults.append(f"{file.name}:1: rate.hour: missing, and {priced[0]} is a price")
    file.done()
    return Costs(currency if priced else "", ranges)


def read_timing(path: Path) -> Timing:
    """A scenario file. Raises `AssumptionsError`."""
    file = _File(path)
    held: dict[str, Any] = {}
    waves, parties = _waves(file), _parties(file)
    ranges: dict[str, Range] = {}
    for key, value in file.leaves({k: v for k, v in file.content.items() if k not in ("wave", "party")}):
        table, _, name = key.rpartition(".")
        if key in SCENARIO_RANGES:
            found = file.range(key, value)
            if found is not None:
                ranges[key] = found
        elif name in _SCENARIO_KEYS.get(table, ()):
            held[key] = _READERS[key](file, key, value)
        else:
            file.unknown(key)
    for key in ("start", "horizon"):
        if key not in held:
            file.faults.append(f"{file.name}:1: {key}: missing")
    if not waves and not any("wave" in fault for fault in file.faults):
        file.faults.append(f'{file.name}:1: wave: missing: at least one [[wave]] with types = ["*"]')
    _orders(file, held, waves)
    file.done()
    first, last = held.get("parties.first"), held.get("parties.last")
    return Timing(
        held["start"],
        held["horizon"],
        waves,
        parties,
        build=held.get("build.months", 12),
        seed=held.get("seed", 1),
        draws=held.get("draws", 1000),
        scenarios=held.get("scenarios", IDS),
        date=held.get("parties.date"),
        spread=(first, last) if first is not None and last is not None else None,
        months=held.get("months"),
        move_without_target=held.get("without_target") == "move",
        delay=held.get("S3.delay", 0),
        content=held.get("S4.content"),
        ranges=ranges,
    )


def _orders(file: _File, held: Mapping[str, Any], waves: tuple[Wave, ...]) -> None:
    """What has to stand in an order, or together."""
    start, horizon = held.get("start"), held.get("horizon")
    if start is not None and horizon is not None and not start <= horizon < start + 600:
        file.fault("horizon", "must be after start, and within fifty years of it")
    if ("parties.first" in held) != ("parties.last" in held):
        file.fault("parties", "first and last belong together")
    elif held.get("parties.first") is not None and held["parties.last"] is not None:
        if held["parties.first"] > held["parties.last"]:
            file.fault("parties.last", "must not be before first")
        if "parties.date" in held:
            file.fault("parties.date", "either date, or first and last")
    seen: set[str] = set()
    for number, wave in enumerate(waves):
        if twice := sorted(seen & set(wave.types)):
            file.fault("wave.types", f"{', '.join(twice)} stands in two waves", number)
        seen |= set(wave.types)
    if waves and "*" not in seen:
        file.fault("wave", 'no wave has "*", so that other types would never move')


def _waves(file: _File) -> tuple[Wave, ...]:
    found = []
    for number, table in enumerate(_tables(file, "wave")):
        for key in sorted(set(table) - {"name", "types", "date"}):
            file.unknown(f"wave.{key}", number)
        types, name = table.get("types"), table.get("name", "")
        if not isinstance(types, list) or not types or not all(isinstance(one, str) for one in types):
            file.fault("wave.types", 'must be a list of letter types, or ["*"]', number)
            types = []
        if not isinstance(name, str):
            file.fault("wave.name", "must be text", number)
        month = file.month("wave.date", table.get("date"), number)
        if month is not None:
            found.append(Wave(str(name), tuple(types), month))
    return tuple(found)


def _parties(file: _File) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, table in enumerate(_tables(file, "party")):
        for key in sorted(set(table) - {"id", "name", "date"}):
            file.unknown(f"party.{key}", number)
        named = [table[key] for key in ("id", "name") if isinstance(table.get(key), str)]
        if len(named) != 1:
            file.fault("party", "needs either an id (as in the assessment) or a name", number)
            continue
        month = file.month("party.date", table.get("date"), number)
        if named[0] in found:
            file.fault("party", "stands twice", number)
        if month is not None:
            found[named[0]] = month
    return found


def _tables(file: _File, name: str) -> list[dict[str, Any]]:
    tables = file.content.get(name, [])
    if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
        return tables
    file.fault(name, f"must be written as [[{name}]]")
    return []


def _chosen(file: _File, key: str, value: Any) -> tuple[str, ...] | None:
    if isinstance(value, list) and value and all(one in IDS for one in value) and len(set(value)) == len(value):
        return tuple(sorted(value))
    file.fault(key, f"must be a list of some of {', '.join(IDS)}")
    return None


def _policy(file: _File, key: str, value: Any) -> str | None:
    if value in ("stay", "move"):
        return str(value)
    file.fault(key, "must be stay or move")
    return None


def _whole(low: int, high: int) -> Callable[[_File, str, Any], int | None]:
    return lambda file, key, value: file.whole(key, value, low, high)


_READERS: Mapping[str, Callable[[_File, str, Any], Any]] = {
    **dict.fromkeys(("start", "horizon", "parties.date", "parties.first", "parties.last"), _File.month),
    "S4.content": _File.month,
    "seed": _whole(0, 2**31),
    "draws": _whole(100, 100_000),
    "months": _whole(1, 1200),
    "build.months": _whole(1, 120),
    "S3.delay": _whole(0, 240),
    "scenarios": _chosen,
    "without_target": _policy,
}

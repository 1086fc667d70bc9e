"""What each timing costs: the amounts of `scenarios` times the ranges of a cost file, drawn with a fixed seed.

Only the summary of an assessment is read, so no message is read again, and the same three files give the same bytes.
Every input is drawn from a triangular distribution; low, likely and high of a result are the 10th, 50th and 90th of a
hundred draws. Without prices the result is in hours, without the hours of a point in points.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from converter.assessment.pricing_inputs import (
    COSTS,
    ENDS,
    SCENARIO_RANGES,
    Costs,
    Range,
    Timing,
    month_text,
)
from converter.assessment.scenarios import ONE_OFF, TERMS, WORK, Amount, Scenarios, Traffic
from converter.errors import InterchangeError

FORMAT = "medcom-fhir priced 1"
PRICED, PRICED_CSV = "priced.json", "priced.csv"
QUANTILES = (0.1, 0.5, 0.9)
TORNADO = 8
"""How many inputs a tornado chart shows."""
_ONE = Range(1, 1, 1)
_NOTHING = Range(0, 0, 0)


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of an assessment. Raises `InterchangeError` if there is none."""
    try:
        summary = json.loads((folder / "summary.json").read_bytes())
    except FileNotFoundError:
        raise InterchangeError(
            f"{folder} holds no assessment: there is no summary.json of `assess run` in it"
        ) from None
    except ValueError:
        raise InterchangeError(f"cannot read {folder / 'summary.json'} as JSON") from None
    if not isinstance(summary, dict) or not str(summary.get("format", "")).startswith("medcom-fhir assessment "):
        raise InterchangeError(f"{folder / 'summary.json'} is no summary of an assessment")
    return summary


def price(summary: Mapping[str, Any], costs: Costs | None, timing: Timing | None) -> dict[str, Any]:
    """What `assess price` writes: see priced.schema.json. Raises `InterchangeError` for a corpus without dates."""
    ranges = dict(costs.ranges) if costs else {}
    ranges.update(timing.ranges if timing else {})
    total = summary["effort"]["points"]
    factor = ranges.get("points.factor", _ONE)
    result: dict[str, Any] = {
        "format": FORMAT,
        "currency": costs.currency if costs and costs.currency else None,
        "unit": (costs.currency or "hours") if costs else "points",
        "horizon": month_text(timing.horizon) if timing else None,
        "seed": timing.seed if timing else None,
        "draws": timing.draws if timing else 0,
        "points": {end: _rounded(total * getattr(factor, end)) for end in ENDS},
        "hours": _hours(total, ranges) if "hours.per_point" in ranges else None,
        "assumptions": _assumptions(ranges),
        "notes": [],
        "scenarios": [],
        "tornado": [],
    }
    if timing is None or costs is None:
        return result
    traffic = Traffic.of(summary, timing.months)
    if traffic is None:
        raise InterchangeError("no message of the assessment has a date: say months = … in the scenario file")
    scenarios = Scenarios(traffic, timing)
    result["notes"] = list(_notes(scenarios, timing, ranges, priced=bool(costs.currency)))
    models = [Model(one, scenarios, timing, priced=bool(costs.currency)) for one in timing.scenarios]
    drawn = _drawn(models, ranges, timing)
    result["scenarios"] = [_scenario(model, ranges, held) for model, held in zip(models, drawn, strict=True)]
    result["tornado"] = [_tornado(model, ranges) for model in models]
    return result


def _hours(points: float, ranges: Mapping[str, Range]) -> dict[str, float]:
    factor, each = ranges.get("points.factor", _ONE), ranges["hours.per_point"]
    return {end: _rounded(points * getattr(factor, end) * getattr(each, end)) for end in ENDS}


def _assumptions(ranges: Mapping[str, Range]) -> list[dict[str, Any]]:
    """Every input with its range and where it is from; what was not given counts as nothing, and is listed so."""
    found = []
    for key, means in {**COSTS, **SCENARIO_RANGES}.items():
        held = ranges.get(key) or (_ONE if key == "points.factor" else _NOTHING)
        origin = "given" if key in ranges else "default"
        row = {"input": key, "means": means, "origin": origin, "place": held.origin}
        found.append({**row, **{end: _rounded(getattr(held, end)) for end in ENDS}})
    return found


def _notes(
    scenarios: Scenarios, timing: Timing, ranges: Mapping[str, Range], *, priced: bool
) -> Iterable[dict[str, Any]]:
    """What the figures leave out, as codes with what they are about."""
    if absent := [key for key in COSTS if key not in ranges and key != "points.factor"] if priced else []:
        yield {"note": "counted-as-nothing", "about": absent}
    needed = [f"{one}.{name}" for one, name in (("S0", "risk"), ("S1", "risk"), ("S4", "repeat"))]
    if absent := [key for key in needed if key not in ranges and key[:2] in timing.scenarios]:
        yield {"note": "counted-as-nothing", "about": absent}
    if not timing.parties and timing.date is None and timing.spread is None:
        yield {"note": "no-party-dates", "about": []}
    if unknown := scenarios.unknown():
        yield {"note": "unknown-parties", "about": unknown}
    if scenarios.traffic.untargeted and not timing.move_without_target:
        about = sorted(scenarios.traffic.untargeted)
        yield {"note": "without-target", "about": about, "points": _rounded(scenarios.left_out)}


class Model:
    """One scenario, ready to be computed for many values of its inputs."""

    def __init__(self, scenario: str, scenarios: Scenarios, timing: Timing, *, priced: bool) -> None:
        self.id, self.timing = scenario, timing
        amounts = scenarios.amounts(scenario)
        self.amounts = amounts if priced else [_unpriced(one) for one in amounts if _is_work(one)]
        self.inputs = sorted({key for one in self.amounts for key in _keys(one)} | {"slip.months"})
        self._slipped: dict[int, list[list[float]]] = {}

    def _months(self, slip: int) -> list[list[float]]:
        # Nothing slips past a forced end.
        slip = 0 if self.id == "S0" else slip
        if slip not in self._slipped:
            timing = self.timing
            self._slipped[slip] = [one.by_month(timing.start, timing.horizon, slip) for one in self.amounts]
        return self._slipped[slip]

    def compute(self, values: Mapping[str, float]) -> dict[str, list[float]]:
        """The cost of each term in each month."""
        size = self.timing.horizon - self.timing.start + 1
        found = {term: [0.0] * size for term in TERMS}
        growth = 1 + values["upkeep.growth"]
        for one, months in zip(self.amounts, self._months(round(values["slip.months"])), strict=True):
            each = 1.0
            for key in one.inputs:
                each *= values[key]
            if not each:
                continue
            if one.grows and growth != 1:
                months = [amount * growth ** (at / 12) for at, amount in enumerate(months)]
            found[one.term] = [sum_ + each * amount for sum_, amount in zip(found[one.term], months, strict=True)]
        return found


def _is_work(amount: Amount) -> bool:
    return amount.inputs[: len(WORK)] == WORK


def _unpriced(amount: Amount) -> Amount:
    """The same work in hours."""
    inputs = tuple(key for key in amount.inputs if key != "rate.hour")
    return Amount(ONE_OFF, inputs, amount.once, amount.change, amount.before)


def _keys(amount: Amount) -> tuple[str, ...]:
    return (*amount.inputs, "upkeep.growth") if amount.grows else amount.inputs


def _value(ranges: Mapping[str, Range], key: str) -> Range:
    return ranges.get(key) or (_ONE if key == "points.factor" else _NOTHING)


_ALL = ("upkeep.growth", "slip.months", *COSTS, *SCENARIO_RANGES)


@dataclass
class _Drawn:
    """What the draws of one scenario gave: totals, terms and months."""

    totals: list[float]
    terms: dict[str, list[float]]
    months: list[list[float]]


def _drawn(models: Sequence[Model], ranges: Mapping[str, Range], timing: Timing) -> list[_Drawn]:
    """All scenarios with the same draws, so that they differ by themselves and not by chance."""
    random, keys = Random(timing.seed), sorted(set(_ALL))
    size = timing.horizon - timing.start + 1
    found = [_Drawn([], {term: [] for term in TERMS}, [[] for _ in range(size)]) for _ in models]
    for _ in range(timing.draws):
        values = {key: _value(ranges, key).at(random.random()) for key in keys}
        for model, held in zip(models, found, strict=True):
            terms = model.compute(values)
            sums = [sum(month) for month in zip(*terms.values(), strict=True)]
            for term, months in terms.items():
                held.terms[term].append(sum(months))
            for at, amount in enumerate(sums):
                held.months[at].append(amount)
            held.totals.append(sum(sums))
    return found


def _scenario(model: Model, ranges: Mapping[str, Range], drawn: _Drawn) -> dict[str, Any]:
    start = model.timing.start
    return {
        "id": model.id,
        "total": _range(drawn.totals),
        "terms": [{"term": term, **_range(held)} for term, held in drawn.terms.items() if any(held)],
        "months": [{"month": month_text(start + at), **_range(held)} for at, held in enumerate(drawn.months)],
    }


def _range(values: list[float]) -> dict[str, float]:
    """The 10th, 50th and 90th of a hundred."""
    ordered = sorted(values)
    picked = (ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in QUANTILES)
    return {end: _rounded(value) for end, value in zip(ENDS, picked, strict=True)}


def _tornado(model: Model, ranges: Mapping[str, Range]) -> dict[str, Any]:
    """The inputs that move the total most, each at both ends with all others as they likely are."""
    likely = {key: _value(ranges, key).likely for key in _ALL}

    def total(**changed: float) -> float:
        return sum(map(sum, model.compute({**likely, **changed}).values()))

    open_ = [(key, held) for key in model.inputs if (held := _value(ranges, key)).low != held.high]
    ends = [(key, total(**{key: held.low}), total(**{key: held.high})) for key, held in open_]
    ends.sort(key=lambda row: (-abs(row[2] - row[1]), row[0]))
    rows = [{"input": key, "low": _rounded(low), "high": _rounded(high)} for key, low, high in ends[:TORNADO]]
    return {"scenario": model.id, "base": _rounded(total()), "inputs": rows}


def _rounded(value: float) -> float:
    """Two decimals; a whole number as one."""
    found = round(value, 2)
    return int(found) if found == int(found) else found


def as_json(priced: Mapping[str, Any]) -> bytes:
    """The bytes of priced.json."""
    return json.dumps(priced, indent=1, ensure_ascii=False).encode() + b"\n"


def as_csv(priced: Mapping[str, Any]) -> bytes:
    """The same as a table: a row for each scenario, its terms and its months."""
    told = io.StringIO()
    writer = csv.writer(told, lineterminator="\r\n")
    writer.writerow(("scenario", "part", "name", "unit", *ENDS))
    for one in priced["scenarios"]:
        rows = [("total", "", one["total"])]
        rows += [("term", term["term"], term) for term in one["terms"]]
        rows += [("month", month["month"], month) for month in one["months"]]
        for part, name, held in rows:
            writer.writerow((one["id"], part, name, priced["unit"], *(held[end] for end in ENDS)))
    for name in ("points", "hours"):
        if priced[name] is not None:
            writer.writerow(("", name, "", name, *(priced[name][end] for end in ENDS)))
    return told.getvalue().encode()

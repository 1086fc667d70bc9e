"""What timings cost, against answers that were worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converter.assessment import pricing
from converter.assessment.pricing_inputs import (
    COSTS,
    SCENARIO_RANGES,
    AssumptionsError,
    Costs,
    Range,
    Timing,
    month_of,
    month_text,
    read_costs,
    read_timing,
)
from converter.assessment.scenarios import Scenarios, Traffic, joined
from converter.cli import program
from tests.assessment.schema import breaches as against

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "assessment"
EXAMPLE = Path(__file__).with_name("summary.example.json")
SUMMARY: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((ROOT / "converter/assessment/priced.schema.json").read_text(encoding="utf-8"))

TIMING = """
start = "2027-01"
horizon = "2028-12"
draws = 100
[[wave]]
types = ["*"]
date = "2027-01"
[[party]]
id = "a"
date = "2027-07"
[[party]]
id = "b"
date = "2027-10"
"""


def timing(tmp_path: Path, text: str = TIMING, more: str = "") -> Timing:
    path = tmp_path / "scenarios.toml"
    head, _, tables = text.partition("[[wave]]")
    path.write_text(f"{head}{more}\n[[wave]]{tables}", encoding="utf-8")
    return read_timing(path)


def exactly(**values: float) -> dict[str, Range]:
    """Inputs that are known."""
    return {key.replace("__", "."): Range(value, value, value) for key, value in values.items()}


def traffic(rows: Iterable[tuple[str, str, str, float]], **points: tuple[float, float]) -> Traffic:
    return Traffic(tuple(rows), points, {"X": 0.25}, {}, frozenset(["F"]), 2.0, 400)


def costs_of(model: pricing.Model, ranges: dict[str, Range]) -> dict[str, list[float]]:
    values = dict.fromkeys((*COSTS, *SCENARIO_RANGES), 0.0) | {"points.factor": 1.0}
    return model.compute(values | {key: held.likely for key, held in ranges.items()})


def total(model: pricing.Model, ranges: dict[str, Range]) -> dict[str, float]:
    return {term: sum(months) for term, months in costs_of(model, ranges).items() if sum(months)}


def model(scenario: str, made: Scenarios, *, priced: bool = True) -> pricing.Model:
    return pricing.Model(scenario, made, made.timing, priced=priced)


# -- ranges


def test_a_triangular_range_is_drawn_by_its_inverse() -> None:
    even = Range(0, 0.5, 1)
    assert [even.at(share) for share in (0, 0.125, 0.5, 0.875)] == [0, 0.25, 0.5, 0.75]
    assert Range(0, 0, 1).at(0.75) == pytest.approx(0.5)
    assert Range(2, 4, 4).at(0.25) == pytest.approx(3)
    assert Range(7, 7, 7).at(0.3) == 7


def test_months() -> None:
    assert month_text(month_of("2027-12") or 0) == "2027-12"
    assert [month_of(text) for text in ("2027-13", "2027", "27-01", "2027-1")] == [None] * 4


# -- the matrix


@pytest.mark.parametrize("moved", [0, 1, 3, 5, 10])
def test_even_traffic_is_mixed_as_two_p_times_one_minus_p(tmp_path: Path, moved: int) -> None:
    """Ten parties, each writing one message to each, itself included."""
    names = [f"p{n}" for n in range(10)]
    rows = [(one, other, "X", 1.0) for one in names for other in names]
    dates = "".join(f'[[party]]\nid = "{n}"\ndate = "{2027 if i < moved else 2028}-01"\n' for i, n in enumerate(names))
    made = Scenarios(traffic(rows), timing(tmp_path, TIMING.partition("[[party]]")[0] + dates))
    at = month_of("2027-06") or 0
    mixed = sum(messages for _, messages, first, last in made.mixed(made._with_waves) if first <= at < last)
    share = moved / 10
    assert mixed / 100 == pytest.approx(2 * share * (1 - share))


def test_uneven_traffic_is_what_its_matrix_says(tmp_path: Path) -> None:
    """99 of 100 messages stay between two parties that move together: one is mixed, not 2·p·(1-p) of them."""
    rows = [("a", "c", "X", 99.0), ("a", "b", "X", 1.0)]
    text = TIMING + '[[party]]\nid = "c"\ndate = "2027-07"\n'
    made = Scenarios(traffic(rows), timing(tmp_path, text))
    found = list(made.mixed(made._with_waves))
    assert [row[:2] for row in found] == [("X", 1.0)]


def test_spans_are_joined() -> None:
    assert joined([(5, 7), (1, 3), (2, 4), (4, 4)]) == [(1, 4), (5, 7)]


# -- one scenario at a time, by hand: a and b exchange 30 messages a month; a moves in July and b in October 2027


@pytest.fixture
def two(tmp_path: Path) -> Scenarios:
    rows = [("a", "b", "X", 20.0), ("b", "a", "X", 10.0)]
    return Scenarios(traffic(rows, X=(4.0, 8.0)), timing(tmp_path))


def test_one_off_work_is_spread_over_the_build_window(two: Scenarios) -> None:
    work = exactly(hours__per_point=2, rate__hour=100)
    months = costs_of(model("S2", two), work)["one-off"]
    # 12 points at 2 hours of 100; half of it in the year before July (the six months before January 2027 are put into
    # the first), half in the year before October.
    assert sum(months) == pytest.approx(2400)
    assert months[0] == pytest.approx(7 * 100 + 4 * 100)
    assert months[1:6] == pytest.approx([200] * 5)
    assert months[6:9] == pytest.approx([100] * 3)
    assert months[9:] == [0] * 15


def test_dual_running_lasts_from_the_first_date_to_the_last(two: Scenarios) -> None:
    found = costs_of(model("S2", two), exactly(dual_running__operation=10, dual_running__support=5, vans__message=0.1))
    # Three months, two parties, twice the operation and the support each; 30 messages sent twice.
    assert found["dual-running"] == pytest.approx([0] * 6 + [2 * (2 * 10 + 5) + 3] * 3 + [0] * 15)


def test_a_big_bang_runs_nothing_twice(two: Scenarios) -> None:
    ranges = exactly(
        dual_running__operation=10, dual_running__support=5, hours__per_point=1, rate__hour=10, S1__risk=0.5
    )
    assert total(model("S1", two), ranges) == {"one-off": pytest.approx(120 * 1.5)}


def test_staying_moves_all_at_the_end_and_dearer(two: Scenarios) -> None:
    ranges = exactly(hours__per_point=1, rate__hour=10, S0__risk=1, upkeep__month=3, slip__months=5)
    found = costs_of(model("S0", two), ranges)
    # The last of 24 months is the date, so work is done in the twelve before it, and nothing slips past it.
    assert found["one-off"] == pytest.approx([0] * 11 + [20] * 12 + [0])
    assert found["upkeep"] == pytest.approx([6] * 23 + [0])


def test_upkeep_grows_and_ends_party_by_party(two: Scenarios) -> None:
    months = costs_of(model("S2", two), exactly(upkeep__month=1))["upkeep"]
    assert months == pytest.approx([2] * 6 + [1] * 3 + [0] * 15)
    grown = costs_of(model("S0", two), exactly(upkeep__month=1, upkeep__growth=0.21))["upkeep"]
    assert grown[12] == pytest.approx(2 * 1.21)
    assert grown[6] == pytest.approx(2 * 1.1)


def test_a_converter_costs_while_traffic_is_mixed(tmp_path: Path) -> None:
    rows = [("a", "b", "X", 20_000.0), ("b", "a", "X", 20_000.0)]
    made = Scenarios(traffic(rows), timing(tmp_path, more="[S3]\ndelay = 2"))
    ranges = exactly(
        converter__build=1000,
        converter__operation=100,
        converter__thousand_messages=2,
        converter__thousand_open_pairs=50,
        loss__message=0.01,
    )
    found = costs_of(model("S3", made), ranges)
    # September to November; 40 thousand messages and 0.4 thousand open pairs a month; a quarter loses something.
    assert found["converter"] == pytest.approx([0] * 8 + [1000 + 100 + 80 + 20] + [200] * 2 + [0] * 13)
    assert found["residual-loss"] == pytest.approx([0] * 8 + [100] * 3 + [0] * 13)
    assert found["dual-running"] == [0] * 24


def test_content_later_pays_twice(tmp_path: Path) -> None:
    made = Scenarios(
        traffic([("a", "b", "X", 20.0), ("b", "a", "X", 10.0)], X=(4.0, 8.0)),
        timing(tmp_path, more='[S4]\ncontent = "2028-06"'),
    )
    ranges = exactly(hours__per_point=1, rate__hour=10, S4__repeat=0.5, loss__message=1)
    found = costs_of(model("S4", made), ranges)
    # 8 points of technique, 4 of content, and half of the technique again.
    assert sum(found["one-off"]) == pytest.approx(80 + 40 + 40)
    # A quarter of what a sends is lossy from July on, of what b sends from October on, until June.
    assert found["residual-loss"] == pytest.approx([0] * 6 + [5] * 3 + [7.5] * 8 + [0] * 7)


def test_all_at_once_follows_the_party_and_not_the_waves(tmp_path: Path) -> None:
    rows = [("a", "b", "X", 20.0), ("b", "a", "Y", 10.0)]
    text = TIMING.replace('types = ["*"]', 'types = ["Y"]\ndate = "2028-01"\n[[wave]]\ntypes = ["*"]')
    made = Scenarios(traffic(rows), timing(tmp_path, text))
    tests = exactly(certification__each=1)
    assert total(model("S2", made), tests) == {"one-off": 4}  # two waves at two parties
    assert sum(costs_of(model("S5", made), tests)["one-off"]) == 4
    dual = exactly(dual_running__support=1)
    assert total(model("S5", made), dual) == {"dual-running": 6}
    assert total(model("S2", made), dual) == {"dual-running": 6}  # Y moves at both in January 2028, so only X is mixed


def test_licences_and_training_come_with_the_move(two: Scenarios) -> None:
    found = costs_of(model("S2", two), exactly(licence__month=1, training__party=10))
    assert found["licence"] == pytest.approx([0] * 6 + [1] * 3 + [2] * 15)
    assert found["one-off"] == pytest.approx([0] * 6 + [10, 0, 0, 10] + [0] * 14)


def test_dates_slip_together(two: Scenarios) -> None:
    ranges = exactly(dual_running__support=1, slip__months=4)
    assert costs_of(model("S2", two), ranges)["dual-running"] == pytest.approx([0] * 10 + [2] * 3 + [0] * 11)


def test_what_slips_beyond_the_horizon_is_done_at_the_horizon(two: Scenarios) -> None:
    months = costs_of(model("S2", two), exactly(hours__per_point=1, rate__hour=1, slip__months=60))["one-off"]
    assert months == pytest.approx([0] * 23 + [12])


def test_types_without_a_target_stay(tmp_path: Path) -> None:
    rows = [("a", "b", "F", 20.0), ("a", "b", "X", 1.0)]
    made = Scenarios(traffic(rows, X=(0.0, 1.0), F=(0.0, 9.0)), timing(tmp_path))
    assert made.left_out == 9
    assert total(model("S1", made), exactly(hours__per_point=1, rate__hour=1)) == {"one-off": 1}
    moved = Scenarios(made.traffic, timing(tmp_path, more='without_target = "move"'))
    assert total(model("S1", moved), exactly(hours__per_point=1, rate__hour=1)) == {"one-off": pytest.approx(10)}


def test_parties_without_a_date_are_spread_or_move_with_the_wave(tmp_path: Path) -> None:
    rows = [(name, "a", "X", 1.0) for name in "cde"]
    head = TIMING.partition("[[party]]")[0]
    named = head + '[[party]]\nid = "a"\ndate = "2027-07"\n'
    spread = timing(tmp_path, named, '[parties]\nfirst = "2027-03"\nlast = "2027-09"')
    assert {p: month_text(m) for p, m in Scenarios(traffic(rows), spread).own.items()} == {
        "a": "2027-07",
        "c": "2027-03",
        "d": "2027-06",
        "e": "2027-09",
    }
    wave = Scenarios(traffic(rows), timing(tmp_path, head))
    assert list(wave.mixed(wave._with_waves)) == []
    assert Scenarios(traffic(rows), timing(tmp_path)).unknown() == ["b"]


def test_hours_are_work_without_its_price(two: Scenarios) -> None:
    found = model("S1", two, priced=False)
    assert total(found, exactly(hours__per_point=2, upkeep__month=9)) == {"one-off": 24}


# -- the whole


def test_inputs_that_are_known_give_no_range(tmp_path: Path) -> None:
    ranges = exactly(hours__per_point=2, rate__hour=10)
    found = pricing.price(SUMMARY, Costs("DKK", ranges), timing(tmp_path))
    for one in found["scenarios"]:
        assert one["total"]["low"] == one["total"]["likely"] == one["total"]["high"]
        assert sum(month["likely"] for month in one["months"]) == pytest.approx(one["total"]["likely"], abs=1)
    assert all(not one["inputs"] for one in found["tornado"])
    # 41.5 points of 2 hours of 10; those that no row explains count too.
    assert found["scenarios"][1]["total"]["likely"] == 830


def test_the_tornado_has_the_widest_input_first(tmp_path: Path) -> None:
    ranges = exactly(rate__hour=10) | {"hours.per_point": Range(1, 2, 4), "training.party": Range(0, 1, 2)}
    (one,) = pricing.price(SUMMARY, Costs("DKK", ranges), timing(tmp_path, more='scenarios = ["S1"]'))["tornado"]
    assert one["base"] == 832
    assert one["inputs"] == [
        {"input": "hours.per_point", "low": 417, "high": 1662},
        {"input": "training.party", "low": 830, "high": 834},
    ]


def test_without_a_cost_file_there_are_points_only(tmp_path: Path) -> None:
    found = pricing.price(SUMMARY, None, timing(tmp_path))
    assert (found["currency"], found["unit"], found["hours"], found["scenarios"]) == (None, "points", None, [])
    assert found["points"] == {"low": 41.5, "likely": 41.5, "high": 41.5}
    hours = pricing.price(SUMMARY, Costs("", {"hours.per_point": Range(1, 2, 4)}), timing(tmp_path))
    assert (hours["currency"], hours["unit"]) == (None, "hours")
    assert hours["hours"] == {"low": 41.5, "likely": 83, "high": 166}
    assert {term["term"] for one in hours["scenarios"] for term in one["terms"]} == {"one-off"}


def test_what_was_not_given_is_told(tmp_path: Path) -> None:
    found = pricing.price(SUMMARY, Costs("DKK", exactly(hours__per_point=2, rate__hour=10)), timing(tmp_path))
    told = {note["note"]: note["about"] for note in found["notes"]}
    assert "loss.message" in next(note["about"] for note in found["notes"] if note["note"] == "counted-as-nothing")
    assert told["unknown-parties"] == ["a", "b"]
    assert told["without-target"] == ["XX03"]
    origins = {row["input"]: row["origin"] for row in found["assumptions"]}
    assert origins["hours.per_point"] == "given"
    assert origins["loss.message"] == "default"


def test_a_corpus_without_dates_needs_its_length(tmp_path: Path) -> None:
    summary = {**SUMMARY, "operation": {**SUMMARY["operation"], "months": 0}}
    ranges = Costs("DKK", exactly(hours__per_point=2, rate__hour=10))
    with pytest.raises(pricing.InterchangeError, match="months"):
        pricing.price(summary, ranges, timing(tmp_path))
    assert pricing.price(summary, ranges, timing(tmp_path, more="months = 3"))["scenarios"]


# -- files


GOOD = "currency = 'DKK'\n[hours]\nper_point = 2\n[rate]\nhour = 10\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "[hous]\nper_point = 1\n", "costs.toml:7: hous.per_point: unknown key"),
        (GOOD + "[loss]\nmessage = -1\n", "costs.toml:7: loss.message: must not be negative"),
        (
            GOOD + "[loss]\nmessage = {low = 3, likely = 2, high = 4}\n",
            "costs.toml:7: loss.message: low, likely and high",
        ),
        (GOOD + "[loss]\nmessage = {low = 3, high = 4}\n", "costs.toml:7: loss.message: likely missing"),
        (GOOD + "[loss]\nmessage = {low = 1, likely = 2, high = 4, max = 5}\n", "loss.message: unknown key max"),
        (GOOD + "[loss]\nmessage = 'much'\n", "costs.toml:7: loss.message: low, likely, high must be a number"),
        (GOOD + "[loss]\nmessage = true\n", "must be a number"),
        (GOOD + "[loss]\nmessage = nan\n", "must be below"),
        (GOOD + "[loss]\nmessage = inf\n", "must be below"),
        (GOOD + "[loss\n", "costs.toml:6:6: is no TOML"),
        ("[rate]\nhour = 10\n", "costs.toml:1: hours.per_point: missing"),
        ("[hours]\nper_point = 1\n[rate]\nhour = 10\n", "costs.toml:1: currency: missing, and rate.hour is a price"),
        ("currency = 'DKK'\n[hours]\nper_point = 1\n[loss]\nmessage = 1\n", "rate.hour: missing"),
        ("currency = 'kroner'\n[hours]\nper_point = 1\n", "costs.toml:1: currency: must be three capital letters"),
    ],
)
def test_faults_of_a_cost_file(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "costs.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AssumptionsError) as caught:
        read_costs(path)
    assert any(expected in fault for fault in caught.value.faults), caught.value.faults


def test_a_good_cost_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "costs.toml"
    path.write_text(GOOD + "loss.message = {low = 1, likely = 2, high = 4}\n".replace("loss.", "\n[loss]\n"))
    held = read_costs(path)
    assert held.ranges["loss.message"] == Range(1, 2, 4, "costs.toml:8")
    assert held.currency == "DKK"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('start = "2027-01"', "", "scenarios.toml:1: start: missing"),
        ('start = "2027-01"', 'start = "January"', "scenarios.toml:2: start: must be a month"),
        ('horizon = "2028-12"', 'horizon = "2026-12"', "scenarios.toml:3: horizon: must be after start"),
        ("draws = 100", "draws = 1", "scenarios.toml:4: draws: must be a whole number from 100"),
        ("draws = 100", "draw = 100", "scenarios.toml:4: draw: unknown key"),
        ("draws = 100", 'scenarios = ["S9"]', "scenarios.toml:4: scenarios: must be a list of some of S0"),
        ("draws = 100", 'without_target = "go"', "scenarios.toml:4: without_target: must be stay or move"),
        ('types = ["*"]', 'types = "*"', "wave.types: must be a list"),
        ('types = ["*"]', 'types = ["X"]', 'no wave has "*"'),
        ('types = ["*"]', 'types = ["*"]\ncolour = 1', "wave.colour: unknown key"),
        ('date = "2027-10"', 'date = "10"', "scenarios.toml:13: party.date: must be a month"),
        ('id = "b"', 'id = "a"', "party: stands twice"),
        ('id = "b"', 'id = "b"\nname = "c"', "party: needs either an id"),
    ],
)
def test_faults_of_a_scenario_file(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = tmp_path / "scenarios.toml"
    assert old in TIMING
    path.write_text(TIMING.replace(old, new), encoding="utf-8")
    with pytest.raises(AssumptionsError) as caught:
        read_timing(path)
    assert any(expected in fault for fault in caught.value.faults), caught.value.faults


def test_examples_say_that_they_are_invented() -> None:
    lines = (EXAMPLES / "costs.example.toml").read_text(encoding="utf-8").splitlines()
    numbers = [line for line in lines if "=" in line and not line.startswith(("#", "currency"))]
    assert len(numbers) == len(COSTS)
    assert all("invented, replace" in line for line in numbers)
    american = (EXAMPLES / "costs.example-us.toml").read_text(encoding="utf-8")
    assert american.startswith("# WEAK NUMBERS, NOT TO BE USED")
    assert read_costs(EXAMPLES / "costs.example-us.toml").currency == "USD"


# -- the command


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, ["assess", "price", *map(str, arguments)])


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "summary.json").write_bytes(EXAMPLE.read_bytes())  # the only file: pricing needs no other
    files = "--costs", EXAMPLES / "costs.example.toml", "--scenarios", tmp_path / "scenarios.toml"
    text = (EXAMPLES / "scenarios.example.toml").read_text(encoding="utf-8")
    (tmp_path / "scenarios.toml").write_text(text.replace("draws = 1000", "draws = 100"), encoding="utf-8")
    done = run(tmp_path, *files)
    assert done.exit_code == 0, done.output
    first = (tmp_path / "priced.json").read_bytes()
    table = (tmp_path / "priced.csv").read_text(encoding="utf-8").splitlines()
    priced = json.loads(first)
    assert [one["id"] for one in priced["scenarios"]] == ["S0", "S1", "S2", "S3", "S4", "S5"]
    for one in priced["scenarios"]:
        assert one["total"]["low"] < one["total"]["likely"] < one["total"]["high"]
        assert len(one["months"]) == 48
    assert all(len(one["inputs"]) == pricing.TORNADO for one in priced["tornado"])
    assert table[0] == "scenario,part,name,unit,low,likely,high"
    assert len(table) == 1 + 2 + sum(1 + len(one["terms"]) + 48 for one in priced["scenarios"])
    run(tmp_path, *files)
    assert (tmp_path / "priced.json").read_bytes() == first
    (tmp_path / "scenarios.toml").write_text(
        text.replace("draws = 1000", "draws = 100").replace("seed = 1", "seed = 2"), encoding="utf-8"
    )
    run(tmp_path, *files)
    assert (tmp_path / "priced.json").read_bytes() != first
    assert breaches(priced) == []
    assert breaches({**priced, "unit": 3, "more": 1})


def breaches(value: Any) -> list[str]:
    return against(SCHEMA, value)


def test_command_without_files(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code != 0
    (tmp_path / "summary.json").write_bytes(EXAMPLE.read_bytes())
    done = run(tmp_path)
    assert done.exit_code == 0
    assert "no totals: they need --costs and --scenarios" in done.output
    found = json.loads((tmp_path / "priced.json").read_bytes())
    assert breaches(found) == []
    (tmp_path / "costs.toml").write_text("[hous]\nx = 1\n[los]\ny = 2\n", encoding="utf-8")
    faulty = run(tmp_path, "--costs", tmp_path / "costs.toml")
    assert faulty.exit_code == 2
    assert "costs.toml:2: hous.x: unknown key" in faulty.output
    assert "costs.toml:4: los.y: unknown key" in faulty.output


def test_pricing_a_large_assessment_is_little_work() -> None:
    """Rows of the matrix are summed up once a scenario; draws do not see them. Counted, as time says little here."""
    rows = [{"sender": f"p{n % 50}", "receiver": f"p{n // 50}", "type": "XX91", "messages": 10} for n in range(4_000)]
    summary = {**SUMMARY, "volume": {**SUMMARY["volume"], "matrix": rows}}
    held = read_timing(EXAMPLES / "scenarios.example.toml")
    found = Traffic.of(summary, held.months)
    assert found is not None
    made = Scenarios(found, held)
    amounts = [amount for one in held.scenarios for amount in made.amounts(one)]
    assert len(amounts) < 70
    assert max(len(amount.once) + len(amount.change) for amount in amounts) < 100

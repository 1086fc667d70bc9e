"""What was planted in the corpus with known answers is found, each number exactly."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from converter.assessment.tables import CLUSTERS, FACTS, PAIRS, STATES
from tests.assessment import known
from tests.assessment.answers import differences, found
from tests.assessment.conftest import Assessed


def test_each_planted_number_is_found(assessed: Assessed) -> None:
    assert differences(assessed.known, found(assessed.known, assessed.summary)) == []


def test_a_number_that_is_not_found_would_be_told(assessed: Assessed) -> None:
    other = {**found(assessed.known, assessed.summary), "wrong_cpr": assessed.known.wrong_cpr + 1}
    assert len(differences(assessed.known, other)) == 1


def test_shares_are_those_that_were_ordered(assessed: Assessed) -> None:
    n = assessed.known.messages
    assert assessed.known.wrong_cpr == 0.03 * n
    assert assessed.summary["old_versions"]["share"] == pytest.approx(0.07)
    assert len(known.DEVIATIONS) == 12


def test_each_deviation_is_a_cluster_of_its_own_with_just_its_messages(assessed: Assessed) -> None:
    of_message = {row["message"]: row["cluster"] for row in assessed.rows(FACTS)}
    clusters = {row["cluster"]: row for row in assessed.rows(CLUSTERS)}
    seen = {}
    for name, members in assessed.known.members.items():
        own = {of_message[n] for n in members}
        assert len(own) == 1, name
        (seen[name],) = own
        row = clusters[seen[name]]
        assert row["deviating"], name
        assert row["messages"] == assessed.known.clusters[name] == len(members), name
    assert len(set(seen.values())) == len(known.DEVIATIONS)
    assert assessed.summary["clusters"]["deviating"] == len(known.DEVIATIONS)
    assert {key for key, row in clusters.items() if row["deviating"]} == set(seen.values())


def test_the_curve_grows_to_all_messages(assessed: Assessed) -> None:
    curve = assessed.summary["clusters"]["curve"]
    assert [row["messages"] for row in curve] == sorted(row["messages"] for row in curve)
    assert curve[-1]["share"] == 1
    assert curve[-1]["messages"] == assessed.known.messages


def test_a_type_without_mapping_is_class_f_and_unmapped(assessed: Assessed) -> None:
    strange = [row for row in assessed.rows(FACTS) if row["type"] == known.STRANGE]
    assert {(row["class"], row["state"], row["target"]) for row in strange} == {("F", "unmapped", "")}
    assert len(strange) == assessed.known.unmapped
    rows = {row["type"]: row["classes"] for row in assessed.summary["automation"]["by_type"]}
    assert rows[known.STRANGE]["F"] == assessed.known.unmapped


def test_states_exclude_each_other_and_leave_nothing_out(assessed: Assessed) -> None:
    coverage, facts = assessed.summary["coverage"], assessed.rows(FACTS)
    assert sum(coverage["by_message"].values()) == assessed.known.messages
    assert sum(coverage["by_occurrence"].values()) == sum(row["leaves"] + row["defaulted"] for row in facts)
    for row in coverage["by_type"]:
        assert sum(row["by_message"].values()) == row["messages"]
    for row in facts:
        assert row["leaves"] == sum(row[state] for state in STATES if state != "defaulted")


def test_automation_classes_make_up_all_messages(assessed: Assessed) -> None:
    automation = assessed.summary["automation"]
    assert sum(automation["classes"].values()) == assessed.known.messages
    assert sum(row["messages"] for row in automation["by_type_party"]) == assessed.known.messages
    assert automation["classes"]["D"] >= sum(assessed.known.clusters.values())


def test_delays_are_those_of_the_messages(assessed: Assessed) -> None:
    minutes = Counter(
        row["minutes"] for row in assessed.rows(PAIRS) if row["kind"] == "receipt" and row["minutes"] is not None
    )
    assert minutes == assessed.known.receipt_minutes
    ordered = sorted(minutes.elements())
    told = assessed.summary["messaging"]["receipts"]["minutes"]
    assert told["largest"] == ordered[-1]
    assert told["median"] == ordered[(len(ordered) + 1) // 2 - 1]
    histogram = assessed.summary["messaging"]["receipts"]["histogram"]
    assert sum(row["messages"] for row in histogram) == len(ordered)


def test_effort_is_the_sum_of_its_rows_and_each_row_has_its_finding(assessed: Assessed) -> None:
    effort = assessed.summary["effort"]
    findings = {row["finding"] for row in assessed.summary["findings"]}
    assert effort["points"] == pytest.approx(sum(row["points"] for row in effort["rows"]))
    assert effort["points"] == pytest.approx(sum(effort["by_driver"].values()))
    assert {row["finding"] for row in effort["rows"]} <= findings
    assert [row["kind"] for row in effort["rows"]].count("cluster") == len(known.DEVIATIONS)
    for row in effort["rows"]:
        assert row["points"] == pytest.approx(row["unit"] * row["count"])


def test_headline_numbers_and_drivers_lead_to_findings(assessed: Assessed) -> None:
    findings = {row["finding"]: row for row in assessed.summary["findings"]}
    for row in assessed.summary["headline"]:
        assert row["finding"] in findings, row["id"]
    assert {row["driver"] for row in findings.values()} == {row["driver"] for row in assessed.summary["drivers"]}
    for row in assessed.summary["drivers"]:
        assert all(findings[one]["driver"] == row["driver"] for one in row["top"])
        assert row["top"], row["driver"]


def test_the_generator_imports_nothing_of_what_it_tests() -> None:
    assert imports(Path(known.__file__).read_text(encoding="utf-8")) & {"converter", "benchmarks", "tests"} == set()
    assert "converter" in imports("def f():\n    from converter.engine import Engine\n"), "negative control"
    assert "converter" in imports("__import__('converter')"), "negative control"


def imports(source: str) -> set[str]:
    """The packages that some source imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("tests" if node.level else (node.module or "").partition(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("converter"):
            names.add("converter")
    return names


def test_the_same_seed_gives_the_same_corpus() -> None:
    (one, first), (other, second) = known.messages(known.UNIT, 7), known.messages(known.UNIT, 7)
    assert one == other
    assert list(first) == list(second)
    assert list(known.messages(known.UNIT, 8)[1]) != list(known.messages(known.UNIT, 7)[1])
    with pytest.raises(ValueError, match="multiple"):
        known.messages(known.UNIT + 1)

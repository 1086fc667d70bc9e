"""Two assessments side by side: each planted change is found, judged rightly, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converter.assessment import tables
from converter.assessment.comparing import AREAS, BETTER, OTHER, WORSENED, Change, compare, compare_tables
from converter.cli import program

EXAMPLE = Path(__file__).with_name("summary.example.json")
SUMMARY: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))


def changed(edit: Callable[[dict[str, Any]], None]) -> list[Change]:
    """The changes that an edit of the second summary makes."""
    other = copy.deepcopy(SUMMARY)
    edit(other)
    return compare(SUMMARY, other)


def volume(summary: dict[str, Any]) -> None:
    summary["volume"]["by_type"][0]["messages"] += 5


def coverage(summary: dict[str, Any]) -> None:
    row = summary["coverage"]["by_type"][0]
    row["without_loss"] -= row["messages"] // 10


def round_trip(summary: dict[str, Any]) -> None:
    summary["round_trip"]["different"] += 100


def clusters(summary: dict[str, Any]) -> None:
    summary["clusters"]["rows"][0]["messages"] -= 100


def classes(summary: dict[str, Any]) -> None:
    summary["automation"]["classes"] |= {"A": 500, "E": 120}


def points(summary: dict[str, Any]) -> None:
    summary["effort"]["by_driver"]["messaging"] += 2


def quality(summary: dict[str, Any]) -> None:
    summary["quality"][0]["share"] += 0.01


def messaging(summary: dict[str, Any]) -> None:
    summary["messaging"]["receipts"]["share"] -= 0.1


def finding(summary: dict[str, Any]) -> None:
    summary["findings"].append({**summary["findings"][0], "finding": "loss:new:XX91:A", "messages": None})


EDITS = {
    volume: [("volume", "XX91 X9134L edifact", OTHER)],
    coverage: [
        ("coverage", "XX91, messages without loss", WORSENED),
        ("coverage", "all, messages without loss", WORSENED),
    ],
    round_trip: [("round-trip", "come back equal or the same", WORSENED)],
    clusters: [("clusters", "messages as their definition has them", WORSENED)],
    classes: [("classes", "all, classes A and B", WORSENED)],
    points: [("points", "driver messaging", WORSENED)],
    quality: [("quality", "cpr, share that fails", WORSENED)],
    messaging: [("messaging", "receipts that came", WORSENED)],
    finding: [("findings", "loss:new:XX91:A", WORSENED)],
}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_each_change_is_found_and_nothing_else(edit: Callable[[dict[str, Any]], None]) -> None:
    found = changed(edit)
    assert [(c.area, c.what, c.verdict) for c in found] == EDITS[edit]
    assert all(c.area in AREAS for c in found)
    # The other way round, what is worse is better.
    other = copy.deepcopy(SUMMARY)
    edit(other)
    back = {c.what: c for c in compare(other, SUMMARY)}
    for change in found:
        assert (back[change.what].before, back[change.what].after) == (change.after, change.before)
        assert back[change.what].verdict == {WORSENED: BETTER, OTHER: OTHER}[change.verdict]


def test_the_same_has_no_change() -> None:
    assert compare(SUMMARY, copy.deepcopy(SUMMARY)) == []


def test_a_change_within_the_tolerance_is_none() -> None:
    other = copy.deepcopy(SUMMARY)
    quality(other)
    assert compare(SUMMARY, other, tolerance=0.02) == []


def coverage_rows(lost: int) -> list[dict[str, Any]]:
    row = dict.fromkeys(tables.names(tables.COVERAGE), "") | {"type": "XX91", "field": "Sender.StreetName"}
    return [
        {**row, "state": state, "occurrences": number, "messages": number}
        for state, number in (("mapped", 100 - lost), ("lossy", lost))
    ]


def cluster_row(name: str, deviating: bool = True) -> dict[str, Any]:
    row = dict.fromkeys(tables.names(tables.CLUSTERS), "")
    return {**row, "cluster": name, "type": "XX91", "deviating": deviating, "messages": 7, "senders": 1}


def folder(path: Path, lost: int, clusters: list[dict[str, Any]], summary: dict[str, Any] = SUMMARY) -> Path:
    path.mkdir()
    (path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    tables.write(tables.COVERAGE, coverage_rows(lost), path / "coverage.parquet")
    tables.write(tables.CLUSTERS, clusters, path / "clusters.parquet")
    return path


def test_tables_say_more_than_summaries(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", 10, [cluster_row("c1"), cluster_row("c0", deviating=False)])
    after = folder(tmp_path / "b", 25, [cluster_row("c2"), cluster_row("c9", deviating=False)])
    assert compare_tables(before, after) == [
        Change("fields", "XX91 Sender.StreetName", 0.9, 0.75, WORSENED),
        Change("clusters", "c1 of XX91", 7, None, BETTER),
        Change("clusters", "c2 of XX91", None, 7, WORSENED),
    ]
    assert compare_tables(before, before) == []


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, ["assess", "diff", *map(str, arguments)])


def test_command(tmp_path: Path) -> None:
    worse = copy.deepcopy(SUMMARY)
    quality(worse)
    volume(worse)
    a, b = folder(tmp_path / "a", 10, []), folder(tmp_path / "b", 10, [], worse)
    assert run(a, b).exit_code == 0
    done = run(a, b, "--fail-on", "warning")
    assert done.exit_code == 1
    assert "BAT032" in done.output
    assert "quality: cpr, share that fails: 0.031579 before, 0.041579 now" in done.output
    assert "1 worse, 0 better, 1 other" in done.output
    assert run(b, a, "--fail-on", "warning").exit_code == 0  # the other way it is better
    told = json.loads(run(a, b, "--format", "json").output)
    assert [(c["area"], c["verdict"]) for c in told["changes"]] == [("volume", "other"), ("quality", "worse")]
    assert [f["code"] for f in told["findings"]] == ["BAT032"]
    (b / "coverage.parquet").unlink()
    assert "only the summaries" in run(a, b).output
    (b / "summary.json").unlink()
    assert run(a, b).exit_code != 0

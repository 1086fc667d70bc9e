"""A sample: volumes and pairs are those of all messages, the rest is estimated, and how far off it may be is told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from converter.assessment.collecting import Told
from converter.assessment.running import READING, SAMPLE
from converter.assessment.sampling import choose
from converter.assessment.tables import CLUSTERS, COVERAGE, FACTS, FINDINGS, PAIRS, Keys, read
from tests.assessment.answers import KEY, differences, found
from tests.assessment.conftest import Assessed, run

LEAST = 2
OF_ALL = (
    "messages",
    "types",
    "senders",
    "receipts",
    "receipts_late",
    "receipts_missing",
    "attachments_late",
    "answered",
)


def sampled(assessed: Assessed, key_file: Path, folder: Path, least: int) -> dict[str, Any]:
    words = ("assess", "run", assessed.corpus, "-o", folder, "--key-file", key_file, "--quiet", "--jobs", 1)
    done = run(*words, "--sample", "stratified", "--sample-size", least)
    assert done.exit_code == 0, done.output
    assert not (folder / READING).exists()
    assert not (folder / SAMPLE).exists()
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_bytes())
    return summary


@pytest.mark.long
def test_a_sample_tells_volumes_and_pairs_of_all_messages(assessed: Assessed, key_file: Path, tmp_path: Path) -> None:
    summary = sampled(assessed, key_file, tmp_path / "result", LEAST)
    numbers = found(assessed.known, summary)
    assert differences(assessed.known, {name: numbers[name] for name in OF_ALL}) == []
    assert (tmp_path / "result" / PAIRS.file).read_bytes() == (assessed.folder / PAIRS.file).read_bytes()
    rows = read(tmp_path / "result" / FACTS.file, FACTS)
    sizes = Counter((row["type"], row["version"], row["sender"]) for row in assessed.rows(FACTS))
    chosen, weights = Counter(), defaultdict(int)
    for row in rows:
        stratum = (row["type"], row["version"], row["sender"])
        chosen[stratum] += 1
        weights[stratum] += row["weight"]
    assert weights == sizes
    assert all(min(LEAST, sizes[stratum]) <= n <= LEAST + 1 for stratum, n in chosen.items()), "copies come together"
    sample = summary["corpus"]["sample"]
    assert (sample["least"], sample["strata"], sample["assessed"]) == (LEAST, len(sizes), len(rows))
    assert sample["error_without_loss"] >= 0
    whole = {row["message"]: row for row in assessed.rows(FACTS)}
    for row in rows:
        assert {**row, "weight": 1} == whole[row["message"]], "what is assessed is assessed as ever"


def test_who_is_chosen_follows_from_the_key() -> None:
    blank = dict.fromkeys(Told._fields, "") | {"type": "T", "version": "V", "sender": "S"}
    lists = {name: [] for name in ("covered", "issues", "differences", "causes", "features", "checks")}
    ties = [False, *[[]] * 10]

    def line(n: int) -> bytes:
        return Told(**{**blank, **lists, "ties": ties, "cid": f"{n:032x}"}).line()  # type: ignore[arg-type]

    lines = [line(n) for n in range(50)]
    one, same, other = (choose(lines, Keys(key), 10) for key in (KEY, KEY, KEY[::-1]))
    assert one == same
    assert one.contents != other.contents
    assert sum(one.weights.values()) == one.messages == 50
    assert len(one.weights) == 10
    assert choose(lines, Keys(KEY), 100).weights == dict.fromkeys(range(1, 51), 1)


@pytest.mark.long
def test_a_sample_of_everything_is_the_whole(assessed: Assessed, key_file: Path, tmp_path: Path) -> None:
    summary = sampled(assessed, key_file, tmp_path / "result", 1_000_000)
    for table in (FACTS, COVERAGE, FINDINGS, PAIRS, CLUSTERS):
        assert (tmp_path / "result" / table.file).read_bytes() == (assessed.folder / table.file).read_bytes(), (
            table.name
        )
    sample = summary["corpus"].pop("sample")
    assert sample["error_without_loss"] == sample["error_automatic"] == 0
    assert {**summary["corpus"], "sample": None} == assessed.summary["corpus"]

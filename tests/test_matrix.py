"""README's matrix of letter types: what converts both ways, without errors, and comes back. Written by `--rewrite`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from converter.engine import Engine
from tests import matrix
from tests.cases import FIXTURES

TYPES = re.compile(r"(<!-- types -->\n)(.*?)(<!-- /types -->)", re.DOTALL)
REASON = re.compile(r"([A-Z]{3}\d{3}|[A-Z0-9]{2,3}-\d{2})\Z")
# Errors that faults in the files themselves cause, by file and kind.
FAULTS_OF_SAMPLES = {
    ("DIS91_1", "PRO042"): "the check digits of both location numbers are wrong",
    ("korr_x9134", "PRO042"): "the check digits of both location numbers are wrong; no such day is in the calendar",
    ("korr_x9134", "LTR021"): "the CPR number begins with a day that no month has",
    ("DIS20_1", "PRO042"): "the check digit of a location number is wrong",
    ("DIS20_ok_UNA", "PRO042"): "the check digit of a location number is wrong",
    ("os2korr-negative_receipt", "PRO042"): "the check digits of location numbers are wrong",
    ("os2korr-escaped_formatted_text", "PRO042"): "the check digits of both location numbers are wrong",
    ("os2korr-formattet_text", "PRO042"): "the check digits of both location numbers are wrong",
    ("os2korr-special_characters", "PRO042"): "the check digits of both location numbers are wrong",
}


@pytest.fixture(scope="module")
def shown(root: Path) -> dict[str, list[str]]:
    """The cells of README's matrix by type."""
    found = TYPES.search((root / "README.md").read_text(encoding="utf-8"))
    assert found
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found[2].splitlines()[2:]]
    return {cells[0].strip("| "): [cell.strip("| ") for cell in cells] for cells in lines}


def test_every_type_has_a_row_with_all_its_messages(shown: dict[str, list[str]], engine: Engine) -> None:
    """A type, a fixture or a mapping that is new shows here until the matrix is written anew."""
    assert sorted(shown) == sorted(engine.definitions.types)
    for type_, cells in shown.items():
        assert int(cells[1].replace("–", "0")) == len(matrix.fixtures(type_)), type_
        target = engine.mappings.for_letter(type_) is not None
        if cells[1:3] != ["–", "–"]:
            assert (cells[4] == "no target") == (type_ in engine.mappings.without), type_
        assert target or not cells[4].startswith("all"), type_


def test_every_cell_holds_or_names_its_reason(shown: dict[str, list[str]]) -> None:
    for type_, cells in shown.items():
        for cell in cells[4:10]:
            partly = re.fullmatch(r"(\d+) of \d+ \((.*)\)", cell)
            assert partly or cell in ("all", "no target", "–"), (type_, cell)
            for why in partly[2].split(", ") if partly else ():
                assert REASON.match(why), (type_, cell)


@pytest.mark.parametrize("type_", ["DIS06", "REF07", "DIS13"])
def test_a_message_of_a_type_agrees_with_its_row(type_: str, shown: dict[str, list[str]], engine: Engine) -> None:
    path = min(matrix.fixtures(type_), key=lambda path: path.stat().st_size)
    row = matrix.Row(type_, tried=[matrix.there_and_back(engine, path.read_bytes(), path.name)])
    for column, cell in zip(matrix.COLUMNS, shown[type_][4:], strict=False):
        now = row.cell(column)
        assert now in (cell, "all", "–") or now.partition("(")[2].rstrip(")") in cell, (column, now, cell)


def test_what_does_not_hold_is_told(engine: Engine) -> None:
    """Negative control: a faulty letter, one that is refused, and a Bundle that is no letter's."""
    faulty = FIXTURES / "letters/DIS91/unknown-organisation/message.edi"
    refused = FIXTURES / "letters/REF07/minimal/message.edi"
    both = [matrix.there_and_back(engine, p.read_bytes(), p.name) for p in (faulty, refused)]
    row = matrix.Row("DIS91", tried=both)
    assert row.cell("to FHIR") == "1 of 2 (C91-14)"
    assert row.cell("without errors").startswith("0 of 1 (DIR050")
    other = FIXTURES / "faults/MAP006-other-profile/message.json"
    strange = matrix.back_and_there(engine, other.read_bytes(), other.name)
    assert strange.held["to a letter"] == "MAP006"


@pytest.mark.long
def test_matrix_is_that_of_the_runs(
    engine: Engine, shared: Path, root: Path, tmp_path: Path, golden: Callable[[Path, str | bytes | None], None]
) -> None:
    """All fixtures and samples there and back; half a minute. `pytest -m long tests/test_matrix.py --rewrite`."""
    samples = matrix.samples(shared)
    theirs = Engine(directory=matrix.table(tmp_path, samples))
    kinds = {path: next((o.type for o in engine.validate(path.read_bytes(), name=path.name)), "") for path in samples}

    def paths(type_: str) -> Iterator[tuple[str, Path]]:
        yield from (("fixtures", path) for path in matrix.fixtures(type_))
        yield from (("samples", path) for path in samples if kinds[path] == type_)
        yield from (("written", path) for path in matrix.written(type_))

    now = (root / "README.md").read_text(encoding="utf-8")
    table = matrix.markdown(matrix.rows({"fixtures": engine, "samples": theirs, "written": engine}, paths))
    golden(root / "README.md", TYPES.sub(lambda m: m[1] + table + m[3], now))


def test_samples_with_a_target_are_free_of_errors_of_ours(shared: Path, tmp_path: Path) -> None:
    """Both twins give the same Bundle bytes, and every error is a fault of the file, named above."""
    samples = matrix.samples(shared)
    engine = Engine(directory=matrix.table(tmp_path, samples))
    seen, bundles = set(), {}
    for path in samples:
        for outcome in engine.convert(path.read_bytes(), to="fhir", name=path.name):
            if outcome.output is not None:
                bundles.setdefault(path.stem, set()).add(outcome.output)
                seen |= {(path.stem, i.code) for i in outcome.issues if i.severity == "error"}
    assert {name for name, outputs in bundles.items() if len(outputs) != 1} == set()
    assert len(bundles) >= 14
    assert seen == set(FAULTS_OF_SAMPLES)

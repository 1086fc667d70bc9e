"""Mapping files from strangers (threats Y1-Y9): refused in under a second, with a place, and nothing of them is run.

Each has an innocent twin that passes, so that a check that refuses everything would be noticed.
"""

from __future__ import annotations

import ast
import shutil
import time
from pathlib import Path

import pytest

from converter.engine import Engine
from converter.errors import MappingError
from converter.issues import Issue, IssueLog
from converter.linting import lint
from tests.rehearsal.folders import ROOT

BASE = Path(__file__).with_name("cases") / "base"
SMALL = "fhir/small.yaml"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the small folder."""
    shutil.copytree(BASE, tmp_path / "mappings")
    return tmp_path / "mappings"


def changed(folder: Path, was: str, now: str, name: str = SMALL) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert was in text
    path.write_text(text.replace(was, now, 1), encoding="utf-8")


def refused(folder: Path) -> list[Issue]:
    """The findings, which came in under a second of work and each with a place."""
    log, start = IssueLog(), time.process_time()
    lint(folder, log)
    assert time.process_time() - start < 1
    errors = [issue for issue in log if issue.severity == "error"]
    assert errors
    assert all(issue.at.file and issue.at.line for issue in errors)
    return errors


def codes(folder: Path) -> set[str]:
    return {issue.code for issue in refused(folder)}


def test_the_folder_is_clean(folder: Path) -> None:
    log = IssueLog()
    lint(folder, log)
    assert list(log) == []


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system [touch x]", "!!python/name:os.system", "!!python/module:os", "!!int 3", "!x y"],
)
def test_y1_tags(folder: Path, tag: str) -> None:
    changed(folder, "{const: completed, to: status}", f"{{const: {tag}, to: status}}")
    assert codes(folder) >= {"LNT002"}
    with pytest.raises(MappingError):
        Engine(folder).load()


@pytest.mark.parametrize("text", [BOMB, "a: &a {x: y}\nb: {<<: *a}\n", "<<: {x: y}\n", "[" * 10_000, "a: " * 30_000])
def test_y2_bombs_of_aliases_merge_keys_and_depth(folder: Path, text: str) -> None:
    (folder / "codes/bomb.yaml").write_text(text)
    assert codes(folder) & {"LNT001", "LNT002", "LNT004"}


def test_y2_a_file_of_more_than_a_megabyte(folder: Path) -> None:
    (folder / "codes/large.yaml").write_text("codes: x\n" + "# " + "x" * 1_000_001)
    assert codes(folder) >= {"LNT004"}


def test_y3_duplicate_keys(folder: Path) -> None:
    changed(folder, "version: S0100L", "version: S0100L\nversion: S0101L")
    assert codes(folder) == {"LNT003"}


@pytest.mark.parametrize("text", ["NO", "12:30", "0101", "2026-11-23", "1e3", "~", "yes"])
def test_y4_values_stay_text(folder: Path, text: str) -> None:
    changed(folder, "code: admitted", f"code: {text}", "codes/episodes.yaml")
    from converter.mapping.codes import load_codes

    rows = load_codes(folder / "codes", {})["episodes"].rows
    assert rows[0]["code"] == text
    assert codes(folder) == {"LNT132"}  # no letter has it; and nothing has turned it into another value


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a*)*b", "([a-z]+)*", "(a|aa)+{2}", "("])
def test_y5_patterns_that_hang(folder: Path, pattern: str) -> None:
    changed(folder, "cut(70, loss=T-1)\n      texts", f'matching("{pattern}")\n      texts')
    assert "LNT141" in codes(folder)


def test_y5_an_innocent_pattern(folder: Path) -> None:
    changed(folder, "cut(70, loss=T-1)\n      texts", 'matching("[0-9]{3}-[a-z]+")\n      texts')
    log = IssueLog()
    lint(folder, log)
    assert [issue.code for issue in log if issue.code == "LNT141"] == []


@pytest.mark.parametrize("text", ["{{ cycler.__init__.__globals__ }}", "{% for x in range(9e9) %}", "{x.__class__}"])
def test_y6_templates_are_text_or_refused(folder: Path, text: str) -> None:
    """A constant is only text; a line knows paths and formatters, and nothing else."""
    changed(folder, 'line: "{note.category[0].coding[0]|display(words)}"', f'line: "{text}"')
    assert "LNT063" in codes(folder)


@pytest.mark.parametrize("codec", ["os.system(x)", "__import__(os)", "eval(1)", "lambda: 0", "cut.__class__(70)"])
def test_y7_functions_that_are_not_registered(folder: Path, codec: str) -> None:
    changed(folder, "cut(70, loss=T-1)\n      texts", f"{codec}\n      texts")
    assert codes(folder) & {"LNT064", "LNT063", "LNT001"}


@pytest.mark.parametrize("code", ["__import__('os').system('x') == a", "x == y; import os", "().__class__ present"])
def test_y7_guards_run_nothing(folder: Path, code: str) -> None:
    changed(folder, "when: Patient.Status == dead", f'when: "{code}"')
    assert codes(folder) & {"LNT063", "LNT065"}


def test_y7_no_code_is_imported_by_a_name_from_a_file() -> None:
    """Nothing in the mapping package looks a function up by a text, except in the registries."""
    for path in sorted((ROOT / "converter/mapping").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            assert name not in ("__import__", "import_module"), path


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "http://example.org/x", "..", "parts/../small"])
def test_y8_includes_lead_nowhere_else(folder: Path, name: str) -> None:
    changed(folder, "uses: [shared]", f'uses: [shared, "{name}"]')
    assert codes(folder) == {"LNT064"}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "parts/shared"])
def test_y8_bases_lead_nowhere_else(folder: Path, name: str) -> None:
    changed(folder, "extends: small", f'extends: "{name}"', "fhir/other.yaml")
    assert codes(folder) == {"LNT064"}


def test_y8_links_out_of_the_folder(folder: Path) -> None:
    (folder / "codes/words.yaml").unlink()
    (folder / "codes/words.yaml").symlink_to("/etc/hostname")
    assert "LNT202" in codes(folder)


def test_y8_cycles_and_long_chains(folder: Path) -> None:
    changed(folder, "mapping: small", "mapping: small\nextends: other")
    assert codes(folder) == {"LNT063"}
    changed(folder, "mapping: small\nextends: other", "mapping: small")
    text = (folder / "fhir/other.yaml").read_text(encoding="utf-8")
    for number in range(30):
        base = f"extends: chain{number - 1}" if number else "extends: small"
        (folder / f"fhir/chain{number}.yaml").write_text(text.replace("extends: small", base))
    log = IssueLog()
    lint(folder, log)
    assert "LNT063" in {issue.code for issue in log}


def test_y9_a_dropped_field_an_invented_code_and_swapped_parties(folder: Path) -> None:
    changed(folder, "      family: Patient.Surname <-> name[0].family | cut(70, loss=T-1)\n", "")
    assert "LNT067" in codes(folder)
    changed(folder, "category: ward}", "category: prison}", "codes/episodes.yaml")
    assert "LNT133" in codes(folder)
    changed(folder, "subject: {ref: patient,", "subject: {ref: sender,")
    assert "LNT120" in codes(folder)

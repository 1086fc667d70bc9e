"""Faulty mapping files: each case under `cases/` is one change of the folder `cases/base`, with its exact findings.

`cases/CODE.yaml` holds the cases of one kind of finding, `cases/CODE.txt` what `lint` tells of each; the latter changes
only by `pytest --rewrite`. A change is `{was, now}` in a file, `{text}` for a new one, `{remove}`, `{link}` to a file
elsewhere, `{bytes}` or `{repeat}`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from converter.issues import Issue, IssueLog, catalog
from converter.linting import lint
from converter.rehearsal.examples import examples
from tests.provoked import declared
from tests.rehearsal.folders import run

CASES = Path(__file__).with_name("cases")
BASE = CASES / "base"
# Kinds that `lint` cannot find: they are about messages that were run (tests/rehearsal), or about profiles in source
# form, which need the packages that they narrow (tests/fhir/drafts).
OF_MESSAGES = {"LNT503", "LNT504", "LNT505", "LNT506", "LNT507", "LNT508", "LNT510", "LNT511", "LNT520"} | {
    f"LNT53{n}" for n in range(4)
}
# Kinds that other commands raise: the measures of an assessment (tests/assessment/test_running.py), and test packs
# (tests/rehearsal/test_packs.py).
OF_COMMANDS = {"LNT289", "LNT540", "LNT541"}
OF_SOURCES = {"LNT210", "LNT211", "LNT212", "LNT213", "LNT214"}


def cases() -> dict[str, dict[str, Any]]:
    """The cases by code and name."""
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(CASES.glob("*.yaml"))}


ALL = cases()


def linted(folder: Path) -> list[Issue]:
    """What `medcom-fhir lint` finds."""
    log = IssueLog()
    lint(folder, log, also=lambda document, log: examples(document, folder.resolve().parent, log))
    return log.issues


def applied(folder: Path, changes: dict[str, Any]) -> None:
    """Make the changes of a case."""
    for name, change in changes.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if "text" in change:
            path.write_text(change["text"], encoding="utf-8")
        elif "bytes" in change:
            path.write_bytes(change["bytes"].encode().decode("unicode_escape").encode("latin-1"))
        elif "repeat" in change:
            path.write_text(change["repeat"][0] * change["repeat"][1], encoding="utf-8")
        elif "link" in change:
            path.unlink()
            path.symlink_to(change["link"])
        elif "remove" in change:
            path.unlink()
        else:
            text = path.read_text(encoding="utf-8")
            assert text.count(change["was"]) == 1, f"{name} holds {text.count(change['was'])} times {change['was']!r}"
            path.write_text(text.replace(change["was"], change["now"]), encoding="utf-8")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small folder with the examples that it names."""
    top = tmp_path_factory.mktemp("small")
    shutil.copytree(BASE, top / "mappings")
    (top / "fixtures/small").mkdir(parents=True)
    (top / "fixtures/small/message.xml").write_text("<SmallLetter/>")
    return top / "mappings"


@pytest.fixture
def folder(base: Path) -> Iterator[Path]:
    """The small folder; what a case changes is taken back."""
    yield base
    restore(base)


def restore(base: Path) -> None:
    """The small folder as it was."""
    known = {path.relative_to(BASE) for path in BASE.rglob("*") if path.is_file()}
    for path in [p for p in base.rglob("*") if p.is_file() or p.is_symlink()]:
        name = path.relative_to(base)
        if name not in known or path.is_symlink() or path.read_bytes() != (BASE / name).read_bytes():
            path.unlink()
    for name in known:
        if not (base / name).exists():
            shutil.copy(BASE / name, base / name)


def line(issue: Issue, folder: Path) -> str:
    """A finding with all that it says of its place."""
    about = [f"letter {issue.at.path}"] if issue.at.path else []
    about += [f"element {issue.target}"] if issue.target else []
    about += [f"rule {issue.rule}"] if issue.rule else []
    place = str(issue.at).replace(f"{folder}/", "")
    return f"  {place} {issue.code} {issue.severity}: {issue.message.replace(str(folder), '')} [{', '.join(about)}]\n"


def test_the_small_folder_is_clean(folder: Path) -> None:
    assert linted(folder) == []


@pytest.mark.parametrize("code", ALL)
def test_cases(code: str, folder: Path, golden: Callable[[Path, str | bytes | None], None], request: Any) -> None:
    told = ""
    for number, (name, changes) in enumerate(ALL[code].items()):
        if number:
            restore(folder)
        applied(folder, changes)
        found = linted(folder)
        told += f"{name}\n" + "".join(line(issue, folder) for issue in found)
        assert code in {issue.code for issue in found}, (name, found)
        assert all(issue.at.file and issue.at.line for issue in found), (name, found)
    golden(CASES / f"{code}.txt", told)


def test_every_kind_of_finding_has_a_case_and_a_page() -> None:
    kinds = {code for code in declared() if code.startswith("LNT")}
    assert kinds - OF_MESSAGES - OF_SOURCES - OF_COMMANDS == set(ALL)
    assert sum(map(len, ALL.values())) >= 120
    assert all(catalog()[code].why and catalog()[code].help for code in kinds)
    for code in ("LNT111", "LNT503"):
        assert catalog()[code].name in run("explain", code).output


def test_a_kind_without_a_case_fails() -> None:
    """The negative control: a code that is declared and has no file is missed."""
    assert (declared() | {"LNT999"}) - OF_MESSAGES - OF_SOURCES - OF_COMMANDS - set(ALL) >= {"LNT999"}

"""House rules that no linter knows: names, lengths, what files may speak of, lock files that agree."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.test_privacy import repository_files

if TYPE_CHECKING:
    from converter.engine import Engine

LONGEST_MODULE = 600
LONGEST_TESTS = 700  # many short cases under one heading read better than two halves
EMPTY_WORDS = {
    *("utils", "helpers", "manager", "common", "core", "base", "misc"),
    *("handler", "processor", "service", "data", "info"),
}
# Whoever clones the repository has neither the workplace's folders nor the folder of third-party truth beside it.
ELSEWHERE = re.compile(r"(?<![\w.])/work/|(?<![\w.])/tmp/|\.\./shared|\bTODO\b|\bFIXME\b")


def modules(root: Path) -> list[Path]:
    return [p for p in repository_files(root) if p.suffix == ".py"]


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module, parsed once for all rules."""
    return ast.parse(path.read_text(encoding="utf-8"))


def last_word(name: str) -> str:
    """The last word of a CamelCase or snake_case name, in lower case."""
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)
    return words[-1].lower() if words else name.lower()


def test_modules_are_not_long(root: Path) -> None:
    lengths = {str(p.relative_to(root)): len(p.read_text(encoding="utf-8").splitlines()) for p in modules(root)}
    limits = {name: LONGEST_TESTS if name.startswith("tests/") else LONGEST_MODULE for name in lengths}
    assert {name: n for name, n in lengths.items() if n > limits[name]} == {}


def test_modules_and_classes_say_what_they_are(root: Path) -> None:
    for path in modules(root):
        assert path.stem not in EMPTY_WORDS, path
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                assert last_word(node.name) not in EMPTY_WORDS, f"{path}: {node.name}"


def test_name_rule_finds_an_empty_name() -> None:
    assert last_word("MessageHandler") in EMPTY_WORDS
    assert last_word("string_utils") in EMPTY_WORDS
    assert last_word("Definition") not in EMPTY_WORDS


def test_nothing_speaks_of_places_outside_the_repository(root: Path) -> None:
    found = {}
    for path in repository_files(root):
        name = path.relative_to(root).as_posix()
        if name.startswith(("tests/", ".gitignore")) or path.suffix in {".lock", ".edi"}:
            continue
        if hits := ELSEWHERE.findall(path.read_text(encoding="latin-1")):
            found[name] = hits
    assert found == {}


def test_every_module_tells_its_purpose(root: Path) -> None:
    for path in modules(root):
        tree = parsed(path)
        assert not tree.body or ast.get_docstring(tree), f"{path}: no docstring"


# Letter types and versions as MedCom writes them (XREF01, D0133L), in the middle of a word or of a sentence.
LETTER_TYPE = re.compile(r"(?<![A-Za-z])X?(?:DIS|REF|CTL|BIN|RPT|REQ|PRE|CLI|NOT)[0-9]{2}(?![0-9])", re.IGNORECASE)
LETTER_VERSION = re.compile(r"(?<![A-Za-z0-9])X?[A-Z][0-9]{4}[A-Z](?![A-Za-z0-9])")


def words_of_code(source: str) -> list[str]:
    """Every string and every name of a module; not its docstrings and comments, which may cite what they follow."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    words = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in prose:
            words.append(node.value if isinstance(node.value, str) else node.value.decode("latin-1"))
        words += [
            v for name in ("id", "attr", "name", "arg", "asname") if isinstance(v := getattr(node, name, None), str)
        ]
    return words


def letter_types(source: str, known: set[str]) -> set[str]:
    """The letter types and versions that the code of a module names: those of MedCom's form, and those defined."""
    words = words_of_code(source)
    named = {match[0] for word in words for form in (LETTER_TYPE, LETTER_VERSION) for match in form.finditer(word)}
    return named | {word for text in words for word in re.split(r"[^A-Za-z0-9]+", text) if word in known}


def test_no_code_names_a_letter_type(root: Path, engine: Engine) -> None:
    """A type is content: its definition, its mapping, its templates and its fixtures, and not a line of Python."""
    types = engine.definitions.types
    known = {*types, *(version for versions in types.values() for version in versions)}
    assert len(known) > 6
    sources = {p.relative_to(root).as_posix(): p for p in modules(root) if p.is_relative_to(root / "converter")}
    found = {name: letter_types(path.read_text(encoding="utf-8"), known) for name, path in sources.items()}
    assert {name: types for name, types in found.items() if types} == {}
    assert any(engine.definitions.by_edifact(*key) for key in ((t, v) for t, vs in types.items() for v in vs))


@pytest.mark.parametrize(
    "line",
    [
        'kind = "REF01"',
        'if letter.type.startswith("XDIS9") or letter.type == "XDIS91": pass',
        "def from_dis02(letter): pass",
        'help = f"for {x} or D0233L"',
        "row = {b'CTL03': 1}",
        "letter.ref06 = None",
        "def read(*, bin01=1): pass",
        "import x as dis07",
        'kind = "NEWTYPE"',
    ],
)
def test_the_rule_finds_a_letter_type(line: str) -> None:
    assert letter_types(line, {"NEWTYPE"})


def test_the_rule_lets_sources_be_cited() -> None:
    cited = (
        '"""DIS91, row 4."""\n# as in REF01\ndef read():\n    """XBIN01."""\n    return "C91-20", "ISO 9735", "D.93A"\n'
    )
    assert letter_types(cited, {"DIS91"}) == set()


def locked(path: Path) -> dict[str, str]:
    """Package and version of every line of a lock file."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def test_lock_files_agree(root: Path) -> None:
    """The development environment is the run-time environment and more, so one .venv serves for both."""
    runtime, development, build = (locked(root / f"requirements{kind}.lock") for kind in ("", "-dev", "-build"))
    assert runtime.items() <= development.items()
    assert {name: version for name, version in build.items() if development.get(name, version) != version} == {}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_hold_every_dependency(root: Path, lock: str) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    if lock == "requirements-dev.lock":
        wanted += project["optional-dependencies"]["dev"]
    names = {re.split(r"[<>=!~ \[]", w)[0].lower().replace(".", "-").replace("_", "-") for w in wanted}
    assert names <= locked(root / lock).keys()


def test_lock_files_have_hashes(root: Path) -> None:
    for path in root.glob("requirements*.lock"):
        text = path.read_text(encoding="utf-8")
        packages = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
        assert packages
        assert [p for p in packages if "--hash=sha256:" not in p] == []


def test_hooks_run_what_make_test_runs(root: Path) -> None:
    """Hooks, make and continuous integration cannot disagree about what is green."""
    hooks = re.findall(r"entry: \.venv/bin/(.+)", (root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    test = re.search(r"^lint:.*?^test-long:", makefile, re.MULTILINE | re.DOTALL)
    assert test
    assert hooks == re.findall(r"^\t\$\(BIN\)/(.+)", test[0], re.MULTILINE)
    assert "make test" in (root / ".ci" / "run").read_text(encoding="utf-8")

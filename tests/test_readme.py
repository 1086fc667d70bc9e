"""README and code say the same: its commands run, its tables are complete, its figures are those of the fixtures."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import converter
from converter.issues import FAMILIES, catalog
from converter.letter import pattern
from tests import ledger_tables
from tests.cases import FIXTURES, convert, letter_cases

if TYPE_CHECKING:
    import click

    from converter.directory import Directory
    from converter.engine import Engine

LEDGERS = re.compile(r"(<!-- ledgers -->\n)(.*?)(<!-- /ledgers -->)", re.DOTALL)
MATRIX = re.compile(r"(<!-- matrix -->\n)(.*?)(<!-- /matrix -->)", re.DOTALL)


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def group() -> click.Group:
    """The command line as click sees it."""
    cli = importlib.import_module("converter.cli")
    found = [
        value for value in vars(cli).values() if type(value).__name__.endswith("Group") or hasattr(value, "commands")
    ]
    return next(g for g in found if g.commands)


def fenced(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def everything_imported() -> None:
    """Import all modules, so that the catalog holds every kind of issue."""
    for module in pkgutil.walk_packages(converter.__path__, "converter."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def test_first_screen_names_the_two_commands(readme: str) -> None:
    screen = "\n".join(readme.splitlines()[:25])
    assert "make demo" in screen
    assert "make test" in screen


def test_make_knows_the_commands_that_readme_names(readme: str, root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)", readme))
    assert named
    assert named <= targets


# Where README takes all fixtures, one folder of them shows that the command is right; the long tests take all.
ONE = {"letters": "DIS91", "legacy": "DIS10"}
FOLDERS = pytest.mark.parametrize("some", [ONE, pytest.param({}, marks=pytest.mark.long)], ids=["short", "long"])


@FOLDERS
def test_commands_of_readme_run(
    some: dict[str, str], readme: str, root: Path, tmp_path: Path, group: click.Group
) -> None:
    """Every line that starts with the command is run in the repository; files that it writes go elsewhere."""
    smaller = {f"fixtures/{name}": f"fixtures/{name}/{folder}" for name, folder in some.items()}
    lines = [line for block in fenced(readme, "sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith(".venv/bin/medcom-fhir")]
    assert len(commands) >= 2
    for line in commands:
        words = [smaller.get(word, word) for word in shlex.split(line, comments=True)[1:]]
        words = [w if not w.startswith("out/") else str(tmp_path / w) for w in words]
        (tmp_path / "out").mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "converter", *words], cwd=root, capture_output=True, check=False, env={**os.environ}
        )
        assert done.returncode in (0, 1), (line, done.stderr)
        assert done.stdout or done.stderr or any(tmp_path.rglob("*.*")), line


def test_demo_ends_with_its_table(root: Path, tmp_path: Path, group: click.Group) -> None:
    done = subprocess.run(
        [sys.executable, root / "examples" / "demo.py", tmp_path], cwd=root, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    messages = [message for case in letter_cases() for message in case.messages]
    names = {path.relative_to(FIXTURES / "letters").as_posix() for path in messages}
    assert {line.split()[0] for line in lines if line.strip()} >= names
    assert (root / lines[-1].strip()).resolve().is_file()


def test_every_command_is_in_the_table_and_helps(readme: str, group: click.Group) -> None:
    section = readme.partition("## Commands")[2].partition("\n## ")[0]
    table = set(re.findall(r"^\| `([a-z]+)", section, re.MULTILINE))
    assert set(group.commands) <= table, "a command is missing in README"
    assert {w for w in table if w.isalpha()} - set(group.commands) <= {"mappings"}, (
        "README names a command that is not there"
    )
    for path, command in _commands(group, ""):
        assert command.help, path
        for parameter in command.params:
            if type(parameter).__name__.endswith("Option"):
                assert parameter.help, f"{path}: {parameter.opts} has no help"  # type: ignore[attr-defined]


def _commands(group: click.Group, path: str) -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        found.append((f"{path} {name}".strip(), command))
        if hasattr(command, "commands"):
            found += _commands(command, f"{path} {name}")
    return found


def test_options_that_readme_names_exist(readme: str, group: click.Group) -> None:
    known = {opt for _, command in _commands(group, "") for p in command.params for opt in (*p.opts, *p.secondary_opts)}
    known |= {"--rewrite", "--help", "--version"} | {opt for p in group.params for opt in p.opts}
    assert set(re.findall(r"(?<![-\w])--[a-z][a-z-]+", readme)) <= known


def test_every_kind_of_issue_is_documented_in_code() -> None:
    everything_imported()
    assert len(catalog()) > 50
    for code, kind in catalog().items():
        assert code[:3] in FAMILIES
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind.name), code
        for sentence in (kind.why, kind.help):
            assert sentence[:1].isupper() or sentence.startswith("`"), code
            assert sentence.rstrip()[-1] in ".)`", f"{code}: not a full sentence: {sentence}"
        assert kind.message
    names = Counter(kind.name for kind in catalog().values())
    assert [name for name, n in names.items() if n > 1] == []


def test_a_kind_of_each_family_explains_itself(group: click.Group) -> None:
    testing = importlib.import_module("click.testing")
    everything_imported()
    for code in {code[:3]: code for code in catalog()}.values():
        shown = testing.CliRunner().invoke(group, ["explain", code])
        assert shown.exit_code == 0, (code, shown.output)
        assert catalog()[code].name in shown.output


@FOLDERS
def test_ledger_query_runs(some: dict[str, str], readme: str, root: Path, tmp_path: Path, group: click.Group) -> None:
    """README's query over a ledger of fixtures: every leaf is counted once, under its field."""
    duckdb = pytest.importorskip("duckdb")
    options = ["-o", str(tmp_path / "out"), "--ledger", str(tmp_path / "ledger.ndjson")]
    command = [
        sys.executable,
        "-m",
        "converter",
        "convert",
        str(root / "fixtures" / "letters" / some.get("letters", "")),
        *options,
    ]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    (query,) = fenced(readme, "sql")
    rows = duckdb.sql(query.replace("ledger.ndjson", str(tmp_path / "ledger.ndjson"))).fetchall()
    lines = (tmp_path / "ledger.ndjson").read_text(encoding="utf-8").splitlines()
    assert {row[0] for row in rows} > {"Patient.CivilRegistrationNumber", "ClinicalInformation.Text01"}
    assert all("[" not in row[0] for row in rows)
    assert sum(row[-1] for row in rows) == len([line for line in lines if '"path"' in line])


@pytest.fixture(scope="module")
def shares(engine: Engine) -> str:
    """The matrix: how the leaves of each type's fixtures fare, in per cent."""
    leaves: dict[str, Counter[str]] = defaultdict(Counter)
    for case in letter_cases():
        for path in case.messages:
            outcome = convert(engine, path, "fhir")
            if outcome.ledger is not None:
                kind = f"{outcome.type} {outcome.version} ({outcome.syntax})"
                leaves[kind].update(outcome.ledger.totals())
                leaves[kind]["messages"] += 1
    lines = ["| letter → FHIR | messages | leaves | mapped | checked | lossy or text | kept | ignored | lost |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    columns = [
        ("mapped",),
        ("constant-checked",),
        ("mapped-lossy", "folded-to-text"),
        ("kept",),
        ("ignored",),
        ("lost",),
    ]
    for kind, counts in sorted(leaves.items()):
        messages = counts.pop("messages")
        total = counts.total()
        cells = [f"{sum(counts[d] for d in column) / total:.0%}" for column in columns]
        lines.append(f"| {kind} | {messages} | {total} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_matrix_holds_the_shares_of_the_fixtures(
    shares: str, readme: str, root: Path, golden: Callable[[Path, str | bytes | None], None]
) -> None:
    """`pytest --rewrite` writes it; a smaller share of mapped leaves has to be looked at in the diff."""
    assert MATRIX.search(readme)
    now = (root / "README.md").read_text(encoding="utf-8")
    golden(root / "README.md", MATRIX.sub(lambda m: m[1] + shares + m[3], now))


def test_ledger_tables_are_those_of_the_mappings(
    engine: Engine, readme: str, root: Path, golden: Callable[[Path, str | bytes | None], None]
) -> None:
    """`pytest --rewrite` writes them."""
    assert LEDGERS.search(readme)
    mappings = sorted(engine.mappings.mappings, key=lambda mapping: mapping.letter)
    tables = "".join(ledger_tables.section(mapping, engine.definitions) for mapping in mappings)
    tables += ledger_tables.attached_sections(mappings, engine.definitions, engine.attachments)
    now = (root / "README.md").read_text(encoding="utf-8")
    golden(root / "README.md", LEDGERS.sub(lambda m: m[1] + tables + m[3], now))


@pytest.mark.parametrize("sidecar", [False, True], ids=["without sidecar", "with sidecar"])
def test_ledgers_of_the_fixtures_agree_with_the_tables(sidecar: bool, organisations: Directory) -> None:
    """Whatever became of a leaf of any fixture, the table of its type says that it may; and every field has a row.

    So without a sidecar only what the tables mark `kept` is lost, and with one nothing.
    """
    engine = importlib.import_module("converter.engine").Engine(
        directory=organisations, validate=False, sidecar=sidecar
    )
    tables = {mapping.letter: ledger_tables.fates(mapping.document) for mapping in engine.mappings.mappings}
    for type_, table in tables.items():
        assert [path for path in ledger_tables.fields(engine.definitions, type_) if path not in table] == []
    for table in tables.values():
        table |= ledger_tables.attached(table, engine.attachments, engine.definitions)
    strays, leaves, attached = set(), 0, 0
    for case in letter_cases():
        for path in case.messages:
            outcome = convert(engine, path, "fhir")
            for entry in outcome.ledger.entries if outcome.ledger else ():
                leaves += 1
                attached += entry.leaf.startswith("Attachment[")
                assert not sidecar or entry.disposition != "lost", entry
                allowed = ledger_tables.allowed(tables[outcome.type], pattern(entry.leaf), sidecar=sidecar)
                if (str(entry.disposition), entry.loss) not in allowed:
                    strays.add((outcome.type, pattern(entry.leaf), str(entry.disposition), entry.loss))
    assert strays == set()
    assert leaves > 1000
    assert attached > 200

"""Shared fixtures. Third-party truth lives beside a checkout and is not part of the project: tests skip without it."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from converter.issues import IssueLog
from converter.limits import COLLECTOR
from tests.provoked import Recorder

if TYPE_CHECKING:
    from converter.directory import Directory
    from converter.engine import Engine

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MEDCOM_SHARED", ROOT.parent / "shared"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the golden files anew instead of comparing")


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(*COLLECTOR)
    recorder = Recorder()
    recorder.install()
    config.pluginmanager.register(recorder, "provoked")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A table of the sample pairs that were compared."""
    reports = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    pairs = [dict(value) for report in reports for key, value in report.user_properties if key == "pair"]
    if pairs:
        ways = [way for way in pairs[0] if way != "name"]
        terminalreporter.section("sample pairs")
        terminalreporter.write_line("  ".join(["pair".ljust(16), *ways]))
        for row in sorted(pairs, key=lambda row: str(row["name"])):
            cells = [("equal" if row[way] else "NOT EQUAL").ljust(len(way)) for way in ways]
            terminalreporter.write_line("  ".join([str(row["name"]).ljust(16), *cells]).rstrip())


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with third-party samples and FHIR packages; skips the test where it is absent."""
    if not (SHARED / "samples").is_dir():
        pytest.skip(f"third-party samples are absent ({SHARED}); set MEDCOM_SHARED to their folder")
    return SHARED


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str | bytes | None], None]:
    """Compare with a file, or write it under `--rewrite`. None: there must be no such file."""
    rewrite = request.config.getoption("--rewrite")

    def check(path: Path, content: str | bytes | None) -> None:
        wanted = content.encode() if isinstance(content, str) else content
        if rewrite:
            if wanted is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(wanted)
            return
        have = path.read_bytes() if path.exists() else None
        if isinstance(content, str) and have is not None:
            assert content.splitlines() == have.decode().splitlines(), (
                f"{path}: run pytest --rewrite and review the diff"
            )
        assert wanted == have, f"{path}: run pytest --rewrite and review the diff"

    return check


@pytest.fixture(scope="session")
def organisations() -> Directory:
    """The organisation table of the invented letters."""
    from converter.directory import Directory

    log = IssueLog()
    directory = Directory.load(ROOT / "fixtures" / "organisations.csv", log)
    assert not list(log)
    return directory


@pytest.fixture(scope="session")
def engine(organisations: Directory) -> Engine:
    """An engine with the project's own mappings and the table of the invented letters."""
    from converter.engine import Engine

    return Engine(directory=organisations)

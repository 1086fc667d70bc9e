"""One assessment of the small corpus with known answers, for all tests of this folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converter.assessment import tables
from converter.assessment.collecting import Collector
from converter.assessment.tables import Keys
from converter.cli import program
from converter.engine import Engine
from converter.sources import Input
from tests.assessment import known
from tests.assessment.answers import KEY


def run(*words: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(program, [str(word) for word in words], standalone_mode=False)


@dataclass
class Assessed:
    """A corpus, what is in it, and what was found."""

    corpus: Path
    folder: Path
    known: known.Known
    summary: dict[str, Any]

    def rows(self, table: tables.Table) -> list[dict[str, Any]]:
        """The rows of a table."""
        return tables.read(self.folder / table.file, table)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key."""
    path = tmp_path_factory.mktemp("key") / "run.key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def warm() -> None:
    """What workers compile when they first need it, compiled here, so that they find it."""
    engine, seen = Engine(), set()
    collector = Collector(engine, Keys(KEY))
    for message in known.messages(known.UNIT)[1]:
        kind = message[message.index(b"UNH+") :].split(b"+")[2]
        if kind not in seen:
            seen.add(kind)
            outcomes = list(engine.convert(message))
            list(collector.lines(Input("", "", message, explicit=True), outcomes))


@pytest.fixture(scope="session")
def assessed(tmp_path_factory: pytest.TempPathFactory, key_file: Path, warm: None) -> Assessed:
    """The assessment of the small corpus: no organisation table, no inventory, no costs."""
    top = tmp_path_factory.mktemp("assessed")
    planted = known.write(top / "corpus", known.UNIT, in_archive=150)
    done = run("assess", "run", top / "corpus", "-o", top / "result", "--key-file", key_file, "--jobs", 2, "--quiet")
    assert done.exception is None, done.output
    assert done.exit_code == 0, done.output
    summary = json.loads((top / "result" / "summary.json").read_bytes())
    return Assessed(top / "corpus", top / "result", planted, summary)

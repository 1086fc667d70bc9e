"""What takes longer than `make test` allows: many messages, and the same assessment by Spark."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from converter.assessment.running import OPERATION
from tests.assessment import large
from tests.assessment.conftest import Assessed, run

MESSAGES = int(os.environ.get("ASSESSED_MESSAGES", "20000"))
pytestmark = pytest.mark.long


@pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="PySpark or Java is not installed (requirements-spark.lock, Java 17)",
)
def test_spark_gives_the_same_files(assessed: Assessed, key_file: Path, tmp_path: Path) -> None:
    words = ("assess", "run", assessed.corpus, "-o", tmp_path / "result", "--key-file", key_file, "--quiet")
    done = run(*words, "--engine", "spark", "--master", "local[2]")
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in assessed.folder.iterdir())
    assert sorted(path.name for path in (tmp_path / "result").iterdir()) == names
    for name in set(names) - {
        OPERATION,
        "report.html",
    }:  # what was measured of the run itself, and the page that tells it
        assert (tmp_path / "result" / name).read_bytes() == (assessed.folder / name).read_bytes(), name


def test_many_messages_are_assessed_and_every_planted_number_is_found(tmp_path: Path) -> None:
    figures = large.assessed(tmp_path, MESSAGES, jobs=2)
    assert figures["differences"] == []
    assert figures["largest_process_megabytes"] < 400 + MESSAGES / 200, "two kB a message, and what the program needs"

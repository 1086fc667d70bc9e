"""Same input, same bytes: whatever the hash seed, the locale, the time zone or the folder of the run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TYPES = [sorted(folder.glob("*/")) for folder in sorted((ROOT / "fixtures" / "letters").glob("*/"))]
# The first case of each type; the long tests take every third of each.
FIRST = [cases[0] for cases in TYPES]
LETTERS = pytest.mark.parametrize(
    "letters",
    [FIRST, pytest.param([c for cases in TYPES for c in cases[::3]], marks=pytest.mark.long)],
    ids=["short", "long"],
)
WORLDS = {
    "here": {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC"},
    "there": {"PYTHONHASHSEED": "4242", "LC_ALL": "C.UTF-8", "TZ": "Pacific/Auckland", "LANG": "da_DK.UTF-8"},
}
OUTPUTS = ("-o", "out", "--ledger", "ledger.ndjson", "--sidecar", "sidecar.json")
OUTPUTS += ("--sor", str(ROOT / "fixtures" / "organisations.csv"))


def written(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def convert_in(
    world: dict[str, str], sources: Iterable[Path], folder: Path, *options: str
) -> tuple[dict[str, bytes], bytes]:
    """Convert with every output that there is; all files, and what was said."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "converter", "convert", *sources, *OUTPUTS, *options],
        cwd=folder,
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **world},
    )
    assert done.returncode in (0, 1), done.stderr
    return written(folder), done.stdout + done.stderr


@LETTERS
@pytest.mark.parametrize("to", ["oioxml", "edifact"])
def test_two_worlds_give_the_same_bytes(to: str, letters: list[Path], tmp_path: Path) -> None:
    here, there = (convert_in(world, letters, tmp_path / name, "--to", to) for name, world in WORLDS.items())
    assert here == there
    assert len(here[0]) > len(letters)


@LETTERS
def test_two_worlds_give_the_same_bytes_there_and_back(letters: list[Path], tmp_path: Path) -> None:
    here, there = (convert_in(world, letters, tmp_path / name) for name, world in WORLDS.items())
    assert here == there
    assert len(here[0]) > len(letters)
    source = tmp_path / "here" / "out"
    (source / "summary.json").unlink()
    here, there = (convert_in(world, [source], tmp_path / f"back-{name}") for name, world in WORLDS.items())
    assert here == there
    assert len(here[0]) > len(letters)


def test_generated_code_is_the_same(tmp_path: Path) -> None:
    shown = [
        subprocess.run(
            [sys.executable, "-m", "converter", "show", "DIS91-carecommunication"],
            cwd=tmp_path,
            capture_output=True,
            check=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **world},
        ).stdout
        for world in WORLDS.values()
    ]
    assert shown[0] == shown[1]
    assert shown[0].count(b"def ") >= 2

"""Same input, same bytes: whatever the hash seed, the locale, the time zone or the folder of the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


# Commands one after the other in one process, each in a folder of its own: a start costs more than most of them do.
SEVERAL = """
import json, os, sys
from converter.cli import main
for folder, *arguments in json.load(sys.stdin):
    os.makedirs(folder)
    os.chdir(folder)
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        print(end.code, flush=True)
    print("-- done", flush=True)
    print("-- done", file=sys.stderr, flush=True)
    os.chdir("..")
"""


def run_in(
    world: dict[str, str], top: Path, commands: dict[str, list[str]]
) -> dict[str, tuple[dict[str, bytes], bytes, bytes]]:
    """What each command wrote and said, by the folder that it ran in; paths are seen from there."""
    top.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL],
        cwd=top,
        input=json.dumps([[folder, *arguments] for folder, arguments in commands.items()]).encode(),
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **world},
    )
    assert done.returncode == 0, done.stderr
    said = [stream.split(b"-- done\n") for stream in (done.stdout, done.stderr)]
    assert {len(parts) for parts in said} == {len(commands) + 1}
    return {folder: (written(top / folder), out, err) for folder, out, err in zip(commands, *said, strict=False)}


@LETTERS
def test_two_worlds_give_the_same_bytes(letters: list[Path], tmp_path: Path) -> None:
    sources = [str(path) for path in letters]
    commands = {
        "oioxml": ["convert", *sources, *OUTPUTS, "--to", "oioxml"],
        "edifact": ["convert", *sources, *OUTPUTS, "--to", "edifact"],
        "there": ["convert", *sources, *OUTPUTS],
        "back": ["convert", "../there/out", *OUTPUTS],
        "code": ["show", "DIS91-carecommunication"],
    }
    here, there = (run_in(world, tmp_path / name, commands) for name, world in WORLDS.items())
    for name, (files, out, err) in here.items():
        assert (files, out, err) == there[name], name
        assert name == "code" or len(files) > len(letters)
        assert out.endswith((b"0\n", b"1\n")), (name, err)
    assert here["code"][1].count(b"def ") >= 2

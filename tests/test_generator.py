"""The corpus that speed is measured on: the same on every machine, sound, and independent of what it measures."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import floor, generator
from converter.engine import Engine
from converter.issues import Severity


def test_letters_are_sound_each_its_own_and_of_the_stated_mix(root: Path) -> None:
    engine = Engine(validate=False)
    letters = [generator.letter(number, "realistic") for number in range(60)]
    done = [outcome for data in letters for outcome in engine.convert(data, to="fhir", name="letter")]
    assert len(done) == len({outcome.output for outcome in done}) == 60
    assert not [issue.code for outcome in done for issue in outcome.issues if issue.severity is Severity.ERROR]
    assert {outcome.type for outcome in done} == set(generator.MIXES["realistic"])
    assert sum(b"+DIS91'" in generator.letter(n, "realistic") for n in range(1000)) == pytest.approx(500, abs=60)


def test_letters_follow_from_number_and_seed(tmp_path: Path, root: Path) -> None:
    code = "from benchmarks import generator; import sys; sys.stdout.buffer.write(generator.letter(7, 'realistic', 3))"
    words = [sys.executable, "-c", code]
    other = subprocess.run(words, cwd=root, capture_output=True, check=True, env={"PYTHONHASHSEED": "9"}).stdout
    assert other == generator.letter(7, "realistic", 3) != generator.letter(7, "realistic", 4)
    for name in ("a", "b"):
        generator.write(tmp_path / name, 30, "realistic", 1, each=20)
    files = [sorted((tmp_path / name).iterdir()) for name in ("a", "b")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert len(files[0]) == 2


def test_generator_and_floors_import_nothing_of_what_they_measure(root: Path) -> None:
    for module in (generator, floor):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        names = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        names += [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
        assert names
        assert not [name for name in names if name.split(".")[0] in ("converter", "tests")]


def test_floors_write_the_same_values(tmp_path: Path) -> None:
    letters = [generator.letter(number) for number in range(20)]
    floor.in_python(letters, tmp_path / "python.out", 5000)
    text = (tmp_path / "python.out").read_text(encoding="utf-8")
    assert text.count("\n") == 20
    assert "Plan: kontrol om 14 dage + blodprøver." in text.replace("x", "")
    if floor.in_c(letters, tmp_path, 5000) is None:
        pytest.skip("there is no C compiler")
    assert floor.same_values(tmp_path / "python.out", tmp_path / "floor.out")

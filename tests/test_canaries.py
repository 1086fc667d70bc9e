"""No command tells a value of a message to anything but the converted output and the sidecar.

Letters carry canaries in every field, whole and with faults laid around them; everything that the commands print or
write is searched. With `--show-values` the same search must find them, else it would prove nothing. Five letters meet
every kind of fault once; the long tests take twenty.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.canaries import (
    WEIGHTS,
    Canary,
    broken_edifact,
    broken_json,
    broken_xml,
    canaries,
    edifact_letter,
    xml_letter,
)

# One process: the folders that the fixtures make serve all tests.
pytestmark = pytest.mark.xdist_group("canaries")

FLOCK = canaries(20)
FORMATS = ("text", "json", "sarif", "junit", "github")
UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "fixtures" / "organisations.csv"


def run(*arguments: str | Path, cwd: Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the command line as its users do; whatever happens, it must not end in a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "converter", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300"},
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode("utf-8", "replace")[-2000:]
    assert done.returncode in (0, 1), (arguments, done.returncode, done.stderr[-2000:])
    return done


def leaks(*places: bytes | str | Path, flock: Iterable[Canary] = FLOCK) -> list[str]:
    """Which canaries are found where; a path stands for its file's bytes and its name."""
    found = []
    for place in places:
        name = str(place) if isinstance(place, Path) else "output"
        lowered = _bytes(place).lower()
        found += [f"{c.name} in {name}" for c in flock if any(t.encode() in lowered for t in c.traces())]
    return found


def _bytes(place: bytes | str | Path) -> bytes:
    if isinstance(place, Path):
        return str(place).encode() + b"\0" + place.read_bytes()
    return place.encode() if isinstance(place, str) else place


@pytest.fixture(scope="module", params=[5, pytest.param(len(FLOCK), marks=pytest.mark.long)], ids=["short", "long"])
def flock(request: pytest.FixtureRequest) -> list[Canary]:
    """The canaries that have letters; whatever is written is searched for all of them."""
    return FLOCK[: request.param]


@pytest.fixture(scope="module")
def letters(flock: list[Canary], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with whole and broken letters in both syntaxes."""
    folder = tmp_path_factory.mktemp("letters")
    for index, canary in enumerate(flock):
        edi, xml = edifact_letter(canary, index), xml_letter(canary, index)
        (folder / f"{index}.edi").write_bytes(edi)
        (folder / f"{index}.xml").write_bytes(xml)
        # Faults are laid around a few canaries each, so that every kind of fault is met without running for minutes.
        for fault, data in _some(broken_edifact(edi, canary), index).items():
            (folder / f"{index}-{fault}.edi").write_bytes(data)
        for fault, data in _some(broken_xml(xml, canary), index).items():
            (folder / f"{index}-{fault}.xml").write_bytes(data)
    return folder


def _some(faults: dict[str, bytes], index: int) -> dict[str, bytes]:
    return {name: data for n, (name, data) in enumerate(faults.items()) if n % 5 == index % 5}


@pytest.fixture(scope="module")
def bundles(flock: list[Canary], letters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Bundles of the whole letters, and broken copies of them."""
    whole, folder = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("bundles")
    sources = [letters / f"{index}.edi" for index in range(len(flock))]
    run("convert", *sources, "-o", whole / "out", "--sor", TABLE, cwd=whole)
    for index, canary in enumerate(flock):
        bundle = (whole / "out" / f"{index}.edi.json").read_bytes()
        assert canary.number.encode() in bundle
        (folder / f"{index}.json").write_bytes(bundle)
        for fault, data in _some(broken_json(bundle, canary), index).items():
            (folder / f"{index}-{fault}.json").write_bytes(data)
    return folder


@pytest.mark.parametrize("to", ["fhir", "oioxml", "edifact"])
def test_convert(to: str, flock: list[Canary], letters: Path, bundles: Path, tmp_path: Path) -> None:
    source = bundles if to == "oioxml" else letters
    files = {name: tmp_path / name for name in ("ledger.ndjson", "sidecar.json", "state.db")}
    done = run(
        *("convert", source, "--to", to, "-o", tmp_path / "out", "--sor", TABLE, "--verbose"),
        *("--ledger", files["ledger.ndjson"], "--sidecar", files["sidecar.json"], "--state", files["state.db"]),
        cwd=tmp_path,
    )
    written = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert len(written) > len(flock)
    told = [files["ledger.ndjson"], files["state.db"], tmp_path / "out" / "summary.json"]
    assert leaks(done.stdout, done.stderr, *(p for p in told if p.exists()), "\n".join(map(str, written))) == []
    assert leaks(*(p for p in written if p.name != "summary.json")), "the converted output should hold the values"
    assert files["ledger.ndjson"].stat().st_size > 0


@pytest.mark.parametrize("form", FORMATS)
def test_formats_of_validate(form: str, letters: Path, bundles: Path, tmp_path: Path) -> None:
    judged = run("validate", letters, bundles, "--format", form, cwd=tmp_path)
    assert judged.stdout
    assert leaks(judged.stdout, judged.stderr) == []


# The findings of both commands go through one writer, and `test_convert` shows them as text.
@pytest.mark.parametrize("form", ["json", *(pytest.param(f, marks=pytest.mark.long) for f in FORMATS if f != "json")])
def test_formats_of_convert(form: str, letters: Path, tmp_path: Path) -> None:
    some = sorted(letters.iterdir())[FORMATS.index(form) :: len(FORMATS)]
    converted = run("convert", *some, "--format", form, "--sor", TABLE, "-o", tmp_path / "out", cwd=tmp_path)
    assert converted.stderr
    assert leaks(converted.stdout, converted.stderr) == []


@pytest.mark.parametrize(
    "name", ["3.edi", pytest.param("4.xml", marks=pytest.mark.long), pytest.param("1.json", marks=pytest.mark.long)]
)
def test_single_messages_and_standard_input(name: str, letters: Path, bundles: Path, tmp_path: Path) -> None:
    """The second reader of `--cross-check` reads EDIFACT only."""
    data = ((bundles if name.endswith(".json") else letters) / name).read_bytes()
    done = run("convert", "-", "--cross-check", "--verbose", "--sor", TABLE, cwd=tmp_path, stdin=data)
    assert leaks(done.stdout)
    assert leaks(done.stderr) == []


SHOWN = ["page 0.edi", "page 2.json", "terminal *-number-as-tag.edi", "terminal *-stray-text.xml"]
SHOWN_TOO = ["page 1.xml", "terminal 0.edi", "terminal 2.json"]


@pytest.mark.parametrize("what", [*SHOWN, *(pytest.param(what, marks=pytest.mark.long) for what in SHOWN_TOO)])
def test_explain(what: str, letters: Path, bundles: Path, tmp_path: Path) -> None:
    where, kind = what.split()
    page = where == "page"
    path = next((bundles if kind.endswith(".json") else letters).glob(kind))
    drawn = tmp_path / "page.html"
    done = run("explain", path, *(("-o", drawn) if page else ()), cwd=tmp_path)
    assert leaks(done.stdout, done.stderr, *([drawn] if page else [])) == []


def test_values_are_shown_on_request(letters: Path, tmp_path: Path) -> None:
    """The negative control: the same letters, the same search."""
    done = run("convert", letters, "-o", tmp_path / "out", "--show-values", "--sor", TABLE, cwd=tmp_path)
    assert leaks(done.stderr)
    explained = run("explain", letters / "0.edi", "--show-values", cwd=tmp_path)
    assert leaks(explained.stdout, flock=FLOCK[:1])


def test_nothing_that_leaves_is_computed_from_the_patient(letters: Path, tmp_path: Path) -> None:
    """Ids, file names and ledger stay the same when only the patient changes: a hash of a number is soon reversed."""
    one = FLOCK[0]
    # Of the same shape: else columns differ, or a number is no size of a file (it stands there too).
    shape = len(one.name), one.number[0]
    other = next(c for c in canaries(200)[1:] if (len(c.name), c.number[0]) == shape)
    letter = (letters / "0.edi").read_bytes()
    changed = letter.replace(one.name.encode(), other.name.encode())
    for old, new in zip(one.traces()[:2], other.traces()[:2], strict=True):
        changed = changed.replace(old.encode(), new.encode())
    results = []
    for folder, data in ((tmp_path / "a", letter), (tmp_path / "b", changed)):
        folder.mkdir()
        (folder / "letter.edi").write_bytes(data)
        run("convert", "letter.edi", "--sor", TABLE, "--ledger", "ledger.ndjson", "-o", "out", cwd=folder)
        bundle = (folder / "out" / "letter.edi.json").read_bytes()
        names = sorted(p.relative_to(folder) for p in folder.rglob("*"))
        results.append((UUID.findall(bundle), names, (folder / "ledger.ndjson").read_bytes()))
    assert changed != letter
    assert len(results[0][0]) > 20
    assert results[0] == results[1]


def test_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    planted = tmp_path / "x.txt"
    planted.write_bytes(b"..." + FLOCK[7].traces()[1].encode())
    assert leaks(planted) == [f"{FLOCK[7].name} in {planted}"]
    assert leaks(FLOCK[3].name.upper()) == [f"{FLOCK[3].name} in output"]
    assert leaks("nothing") == []


def test_canaries_are_twenty_numbers_that_nobody_has() -> None:
    assert len({c.number for c in FLOCK}) == len({c.name for c in FLOCK}) == 20
    sums = [sum(w * int(d) for w, d in zip(WEIGHTS, c.number, strict=True)) for c in FLOCK]
    assert all(s % 11 for s in sums)
    assert all(9989 <= int(c.number[6:]) <= 9999 for c in FLOCK)

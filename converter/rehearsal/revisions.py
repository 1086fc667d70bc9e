"""Mapping files as they were: a folder, a revision of the git repository that holds it, one code map of another day."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from converter.errors import ConverterError
from converter.yamlfile import load, loads

_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z")


class RevisionError(ConverterError):
    """No folder, and no revision that git can give."""


@contextmanager
def folder_of(name: str, mappings: Path) -> Iterator[Path]:
    """The mapping files called `name`: a folder that is there, else `mappings` at that git revision, in a copy.

    `FILE.yaml` is `mappings` with this code map, `codes/NAME.yaml@DATE` with that one as it was at the end of a day.
    """
    if Path(name).is_dir():
        yield Path(name)
        return
    with TemporaryDirectory(prefix="medcom-fhir-") as top:
        codes = _code_map(name, mappings.resolve())
        if codes is None:
            yield _extracted(name, mappings.resolve(), Path(top))
        else:
            yield _with_codes(codes, name, mappings, Path(top) / "mappings")


def _code_map(name: str, mappings: Path) -> bytes | None:
    """The content of a code map: a file, or one of the mapping folder on a date; None for any other name."""
    file, at, date = name.rpartition("@")
    if Path(name).is_file():
        return Path(name).read_bytes()
    if not at or not _DATE.match(date):
        return None
    commit = _git(mappings, "rev-list", "-1", f"--before={date}T23:59:59Z", "HEAD").decode().strip()
    if not commit:
        raise RevisionError(f"there is no revision before the end of {date}")
    return _git(mappings, "show", f"{commit}:./{file}")


def _with_codes(codes: bytes, name: str, mappings: Path, folder: Path) -> Path:
    """A copy of the mapping files in which the code map of the same name is this one."""
    wanted = loads(codes, name=name).get("codes")
    shutil.copytree(mappings, folder)
    for path in sorted((folder / "codes").glob("*.yaml")):
        if load(path).get("codes") == wanted:
            path.write_bytes(codes)
            return folder
    raise RevisionError(f"{name} is no code map that {mappings} has")


def _extracted(revision: str, mappings: Path, top: Path) -> Path:
    """The mapping folder of a revision below `top`."""
    commit = _git(mappings, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    prefix = _git(mappings, "rev-parse", "--show-prefix").decode().strip()
    # Only data leaves the archive: links, devices and paths upwards are refused.
    with tarfile.open(
        fileobj=io.BytesIO(_git(mappings, "archive", "--format=tar", commit.decode().strip()))
    ) as archive:
        archive.extractall(top, filter="data")
    return top / prefix if (top / prefix).is_dir() else top


def changed_lines(revision: str, mappings: Path) -> dict[str, set[int]]:
    """The lines of files below `mappings` that are not as in a revision, by name below that folder."""
    _git(mappings, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    text = _git(mappings, "diff", "--unified=0", "--no-color", "--no-ext-diff", "--relative", revision, "--", ".")
    found: dict[str, set[int]] = {}
    lines: set[int] = set()
    for line in text.decode("utf-8", "replace").splitlines():
        if line.startswith("+++ "):
            lines = found.setdefault(line[4:].removeprefix("b/"), set())
        elif line.startswith("@@"):
            start, _, count = line.split("+", 1)[1].split(" ", 1)[0].partition(",")
            lines.update(range(int(start), int(start) + int(count or 1)))
    return found


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except OSError:
        raise RevisionError("git is not there: name two folders instead of revisions") from None
    if done.returncode:
        raise RevisionError(f"neither a folder nor a revision that git knows in {folder}")
    return done.stdout

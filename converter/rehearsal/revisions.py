"""Mapping files as they were: a folder, or a revision of the git repository that holds the mapping folder."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from converter.errors import ConverterError


class RevisionError(ConverterError):
    """No folder, and no revision that git can give."""


@contextmanager
def folder_of(name: str, mappings: Path) -> Iterator[Path]:
    """The mapping files called `name`: a folder that is there, else `mappings` at that git revision, in a copy."""
    if Path(name).is_dir():
        yield Path(name)
        return
    with TemporaryDirectory(prefix="medcom-fhir-") as top:
        yield _extracted(name, mappings.resolve(), Path(top))


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

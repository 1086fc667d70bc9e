"""No number of a person stands in the repository: every number that looks like one is on a list with its source."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

# Day (61-91: administrative numbers), month, year, then four characters: digits, or digit, two letters, digit.
# Inside longer runs of letters or digits (hashes, SOR ids, GLNs, timestamps) it is not one.
LIKE_CPR = re.compile(
    rb"(?<![0-9A-Za-z])((?:0[1-9]|[12][0-9]|3[01]|6[1-9]|[78][0-9]|9[01])(?:0[1-9]|1[0-2])[0-9]{2})"
    rb"(?:[- ]?([0-9]{4})|([0-9][A-Z]{2}[0-9]))(?![0-9A-Za-z])"
)


def numbers_in(content: bytes) -> set[str]:
    """The civil registration numbers, or what looks like them, without hyphen or blank."""
    return {(day + (digits or letters)).decode() for day, digits, letters in LIKE_CPR.findall(content)}


def allowed(root: Path) -> dict[str, str]:
    lines = (root / "tests" / "allowed_numbers.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return {number: source for number, _, source in rows}


def repository_files(root: Path) -> list[Path]:
    """Every file that is in the repository or would be added to it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [root / name.decode() for name in listed.stdout.split(b"\0") if name]
    return [p for p in paths if p.is_file()]


def test_every_number_in_the_repository_is_allowed(root: Path) -> None:
    known = allowed(root)
    files = repository_files(root)
    assert len(files) > 50
    strangers = {str(p.relative_to(root)): sorted(numbers_in(p.read_bytes()) - known.keys()) for p in files}
    assert {name: found for name, found in strangers.items() if found} == {}
    names = numbers_in("\n".join(str(p.relative_to(root)) for p in files).encode())
    assert names == set()


def test_every_allowed_number_has_a_source_and_the_right_shape(root: Path) -> None:
    for number, source in allowed(root).items():
        assert numbers_in(number.encode()) == {number}
        assert source


# Put together here, so that the scan of this very file does not find them.
PLANTED = "".join(("010203", "4567"))
ADMINISTRATIVE = "".join(("610203", "4567"))
REPLACEMENT = "".join(("010203", "1AB2"))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (f"PNA+PAT+{PLANTED}:::CPR:IM", PLANTED),
        (f"<CivilRegistrationNumber>{PLANTED}</CivilRegistrationNumber>", PLANTED),
        (f"cpr {PLANTED[:6]}-{PLANTED[6:]}.", PLANTED),
        (f"cpr {PLANTED[:6]} {PLANTED[6:]}.", PLANTED),
        (f'"value": "{ADMINISTRATIVE}"', ADMINISTRATIVE),
        (f"RFF+XPI:{REPLACEMENT}'", REPLACEMENT),
        (f"name_{PLANTED}", PLANTED),
    ],
)
def test_scan_finds_a_planted_number(text: str, number: str) -> None:
    assert numbers_in(text.encode("latin-1")) == {number}


@pytest.mark.parametrize(
    "text",
    [
        "5790000120314",
        "325371000016006",
        "202410270230",
        "20241027023000",
        "2024-10-27T02:30:00+02:00",
        "241027:0230",
        "fc60e762-b13b-5773-865e-67f3907bdcc7",
        "sha256:0101010101ab",
        "4501010123",
        "0113011234",
        "70112233",
    ],
)
def test_scan_leaves_other_numbers_alone(text: str) -> None:
    assert numbers_in(text.encode()) == set()

"""The square: a message in EDIFACT and its twin in OIOXML are the same letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter import edifact
from converter.issues import IssueLog
from converter.letter import Letter
from tests.oioxml.made import DEFINITIONS, ROOT, read_all

pytestmark = pytest.mark.skipif(not hasattr(edifact, "read"), reason="there is no EDIFACT reader yet")
TWINS = sorted(path.parent for path in (ROOT / "fixtures" / "letters").glob("*/*/message.edi"))


def from_edifact(path: Path) -> Letter:
    (letter,) = edifact.read(path.read_bytes(), DEFINITIONS, IssueLog())
    return letter


def from_oioxml(path: Path) -> Letter:
    (letter,), _ = read_all(path.read_bytes())
    return letter


def same(one: Letter, other: Letter) -> None:
    assert dict(one.values) == dict(other.values)
    assert one.counts == other.counts
    assert (one.type, one.version) == (other.type, other.version)


def test_the_official_pair(shared: Path) -> None:
    samples = shared / "samples" / "medcom-2014"
    same(from_edifact(samples / "edifact" / "DIS91_1.edi"), from_oioxml(samples / "xml" / "DIS91_1.xml"))


@pytest.mark.parametrize("folder", TWINS, ids=lambda folder: folder.name)
def test_made_pairs(folder: Path) -> None:
    if (folder / "message.xml").exists():
        same(from_edifact(folder / "message.edi"), from_oioxml(folder / "message.xml"))

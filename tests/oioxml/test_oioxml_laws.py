"""Laws of reading and writing OIOXML: made letters come back, changed bytes never end in a traceback."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter import oioxml
from converter.issues import IssueLog
from converter.letter import Letter
from tests.oioxml.made import DEFINITIONS, ROOT, emessage, read_all
from tests.oioxml.strategies import letters

ALL = st.sampled_from(list(DEFINITIONS)).flatmap(letters)


@pytest.mark.parametrize("examples", [30, pytest.param(300, marks=pytest.mark.long)])
def test_a_letter_comes_back(examples: int) -> None:
    @given(ALL)
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    def law(letter: Letter) -> None:
        log = IssueLog()
        data = oioxml.write([letter], DEFINITIONS, log)
        assert data is not None
        assert len(log) == 0
        (again,), findings = read_all(data)
        assert again.values == letter.values
        assert again.counts == letter.counts
        assert (again.type, again.version, again.extras) == (letter.type, letter.version, [])
        assert {issue.code for issue in findings} <= {"XML037"}
        assert oioxml.write([again], DEFINITIONS, IssueLog()) == data
        assert set(again.places) == set(letter.values)

    law()


def test_the_law_can_fail() -> None:
    """Negative control: a gap in the numbering is not in normal form and closes."""
    (letter,) = read_all(emessage())[0]
    value = letter.values.pop("ClinicalInformation[1].Text01")
    letter.values["ClinicalInformation[2].Text01"] = value
    letter.counts = {"ClinicalInformation": 2}
    data = oioxml.write([letter], DEFINITIONS, IssueLog())
    assert data is not None
    assert read_all(data)[0][0].values != letter.values


# --- changed bytes --------------------------------------------------------------------------------------------------

PIECES = [b"<", b">", b"&", b"/", b"\0", b"\xc3\xb8", b"\xff", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?x?>", b"&#0;"]
PIECES += [
    b"<Break/>",
    b"<Subject>",
    b"</Patient>",
    b" a='b'",
    b"xmlns=''",
    b"<!DOCTYPE x>",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"x",
]


def mutants(data: bytes, number: int, seed: int) -> Iterator[bytes]:
    """The bytes with one to three places changed, removed, doubled, swapped or filled with something."""
    rng = random.Random(seed)
    for _ in range(number):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(changed) + 1)
            end = min(len(changed), at + rng.choice((1, 1, 2, 5, 40, 400)))
            match rng.randrange(6):
                case 0:
                    changed[at:end] = bytes(rng.randrange(256) for _ in range(end - at))
                case 1:
                    del changed[at:end]
                case 2:
                    changed[at:at] = changed[at:end]
                case 3:
                    changed[at:at] = rng.choice(PIECES)
                case 4:
                    start = rng.randrange(len(changed) + 1)
                    changed[at:end] = changed[start : start + 30]
                case _:
                    changed = changed[:at]
            changed = changed or bytearray(b" ")
        yield bytes(changed)


def check_mutants(sources: list[bytes], number: int) -> tuple[int, int]:
    """Every mutant gives findings or a letter that comes back; returns how many of each."""
    findings = clean = 0
    for seed, source in enumerate(sources):
        for data in mutants(source, number // len(sources), seed):
            oioxml.sniff(data)
            read, log = read_all(data)
            assert read or len(log), "neither a letter nor a finding"
            if len(log):
                findings += 1
                assert all(issue.message and issue.at.file for issue in log)
                continue
            clean += 1
            again = oioxml.write(read, DEFINITIONS, IssueLog())
            assert again is not None
            assert [letter.values for letter in read_all(again)[0]] == [letter.values for letter in read]
    return findings, clean


def sources(shared: Path | None) -> list[bytes]:
    paths = sorted((ROOT / "fixtures" / "letters").glob("*/*/message.xml"))[:6]
    if shared is not None:
        paths += sorted((shared / "samples" / "field").glob("*.xml"))
        paths += [shared / "samples" / "medcom-2014" / "korr_x9134.xml"]
    made = [emessage(), emessage(encoding="UTF-8"), emessage(encoding="UTF-16")]
    return [*made, *(path.read_bytes() for path in paths)]


def test_changed_bytes_of_made_letters() -> None:
    findings, clean = check_mutants(sources(None), 1000)
    assert findings > 300
    assert clean > 20


def test_changed_bytes_of_samples(shared: Path) -> None:
    findings, clean = check_mutants(sources(shared), 1000)
    assert findings > 300
    assert clean > 20


@pytest.mark.long
def test_changed_bytes_of_samples_many(shared: Path) -> None:
    findings, clean = check_mutants(sources(shared), 20_000)
    assert findings > 6000
    assert clean > 400


def test_a_sample_cut_at_every_byte() -> None:
    """A cut document is never a letter: only the very last byte closes the root."""
    data = emessage()
    for end in range(len(data)):
        read, log = read_all(data[:end])
        assert read == []
        assert len(log) == 1
    assert len(read_all(data)[0]) == 1

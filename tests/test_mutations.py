"""Altering or truncating any sample anywhere never gives a traceback, and no wrong count or reference is accepted.

A seeded sweep over all samples: mutants of bytes and segments and cut files. Every run judges 20,000 in eight parts, of
which every tenth is converted too; the long tests 200,000.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from converter.edifact.controls import Controls
from converter.engine import Engine
from converter.issues import Issue

NEVER = "SYS"


def samples(shared: Path) -> list[bytes]:
    folder = shared / "samples"
    paths = [
        *sorted(folder.glob("medcom-2014/edifact/*.edi")),
        *sorted(folder.glob("medcom-2014/xml/*.xml")),
        *sorted(folder.glob("medcom-2014/faulty/*.edi")),
        *sorted(folder.glob("medcom-2014/*.xml")),
        *sorted(folder.glob("field/*.xml")),
        *(p for p in sorted(folder.glob("conversion-service/ConSer*.json")) if p.stat().st_size < 50_000),
    ]
    return [p.read_bytes() for p in paths]


def mutated(data: bytes, dice: random.Random) -> bytes:
    """One to three changes of bytes, or one of a segment or element."""
    if dice.randrange(4) == 0:
        return segment_mutant(data, dice)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        data = byte_mutant(data, dice)
    return data


def byte_mutant(data: bytes, dice: random.Random) -> bytes:
    """A byte changed, a stretch dropped, doubled or moved, an end cut off."""
    at, size = dice.randrange(len(data) + 1), dice.choice((1, 1, 2, 5, 20, 80))
    kind = dice.randrange(6)
    if kind == 0:
        return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[at + size :]
    if kind == 2:
        return data[:at] + data[at : at + size] + data[at:]
    if kind == 3:
        return data[:at]
    if kind == 4:
        return data[:at] + dice.choice((b"'", b"+", b"?", b":", b"<", b"&", b'"', b"\x00", b"\xff")) + data[at:]
    part, data = data[at : at + size], data[:at] + data[at + size :]
    to = dice.randrange(len(data) + 1)
    return data[:to] + part + data[to:]


def segment_mutant(data: bytes, dice: random.Random) -> bytes:
    """A segment (in XML a tag with its text) dropped, doubled, moved, or put in the place of another one."""
    parts = re.split(rb"(?=<)" if data.lstrip().startswith(b"<") else rb"(?<=')", data)
    one, two = dice.randrange(len(parts)), dice.randrange(len(parts))
    kind = dice.randrange(4)
    if kind == 1:
        parts.insert(one, parts[one])
    elif kind == 3:
        parts[two] = parts[one]
    else:
        part = parts.pop(one)
        if kind == 2:
            parts.insert(two, part)
    return b"".join(parts)


def found(engine: Engine, data: bytes, target: str | None = None) -> list[Issue]:
    return [issue for outcome in engine.convert(data, to=target, name="mutant") for issue in outcome.issues]


def judged(engine: Engine, data: bytes) -> list[Issue]:
    return [issue for outcome in engine.validate(data, name="mutant") for issue in outcome.issues]


def sweep(engine: Engine, data: list[bytes], number: int, seed: int) -> Iterator[tuple[bytes, list[Issue]]]:
    dice = random.Random(seed)
    for count in range(number):
        mutant = mutated(dice.choice(data), dice)
        yield mutant, judged(engine, mutant)
        if count % 10 == 0:
            yield mutant, found(engine, mutant)


def wrong_controls(data: bytes) -> bool:
    """An independent look at plain interchanges: whether UNT miscounts its segments or names another reference."""
    if b"?" in data[9:] or b"UNO+" in data or not data.startswith(b"UNA:+.? '"):
        return False
    segments = [s.strip(b"\r\n") for s in data[9:].replace(b"\r", b"").replace(b"\n", b"").split(b"'")]
    heads = [n for n, s in enumerate(segments) if s.startswith(b"UNH+")]
    tails = [n for n, s in enumerate(segments) if s.startswith(b"UNT+")]
    if len(heads) != 1 or len(tails) != 1 or heads[0] > tails[0]:
        return False
    head, tail = segments[heads[0]].split(b"+"), segments[tails[0]].split(b"+")
    return len(tail) != 3 or tail[1] != str(tails[0] - heads[0] + 1).encode() or tail[2] != head[1]


def check(engine: Engine, data: list[bytes], number: int, seed: int) -> int:
    caught = 0
    for mutant, issues in sweep(engine, data, number, seed):
        assert not [i for i in issues if i.code.startswith(NEVER) and i.code != "SYS010"], mutant
        if wrong_controls(mutant):
            caught += 1
            assert [i for i in issues if i.severity == "error"], mutant
    return caught


@pytest.mark.parametrize("seed", range(8))
def test_the_short_sweep(shared: Path, seed: int) -> None:
    assert check(Engine(), samples(shared), 2_500, seed=seed) > 60


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 18))
def test_the_long_sweep(shared: Path, seed: int) -> None:
    assert check(Engine(), samples(shared), 25_000, seed=seed) > 600


@pytest.mark.parametrize("check_name", ["count", "same_reference"])
def test_a_lenient_reader_fails_the_sweep(shared: Path, monkeypatch: pytest.MonkeyPatch, check_name: str) -> None:
    """Negative control: a reader that does not look at counts, or at references, is found out."""
    monkeypatch.setattr(Controls, check_name, lambda *_, **__: None)
    with pytest.raises(AssertionError):
        check(Engine(validate=False), samples(shared), 4_000, seed=1)


def test_truncation_at_every_byte_of_a_letter(shared: Path) -> None:
    """No prefix of an interchange passes as whole, but for the line end after its last segment."""
    engine = Engine(validate=False)
    data = (shared / "samples/medcom-2014/edifact/DIS91_1.edi").read_bytes().rstrip(b"\r\n")
    for end in range(0, len(data), 3):
        assert [i for i in found(engine, data[:end]) if i.severity == "error"], end
    assert not [i for i in found(engine, data) if i.severity == "error"]


def test_the_independent_look_finds_a_wrong_count(shared: Path) -> None:
    """Negative control of the check above, and of the reader that it judges."""
    data = (shared / "samples/medcom-2014/edifact/DIS14_1.edi").read_bytes()
    wrong = re.sub(rb"UNT\+\d+", b"UNT+7", data)
    assert not wrong_controls(data)
    assert wrong_controls(wrong)
    assert "EDI035" in [i.code for i in found(Engine(validate=False), wrong)]

"""What the quick reader reads, the other readers read with the same result and without a finding."""

from __future__ import annotations

import pickle
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converter import edifact
from converter.edifact import quick
from converter.edifact.structure import Compiled
from converter.engine import Engine
from converter.issues import IssueLog
from converter.letter import Letter, plain
from converter.limits import Limits
from tests.alike import differing

LETTERS = Path(__file__).resolve().parents[2] / "fixtures" / "letters"
SIGNS = (
    b"+",
    b":",
    b"'",
    b"?",
    b"?'",
    b"?'\n",
    b"??'\n",
    b":.:",
    b"\\:",
    b"UNB+",
    b"'UNZ+",
    b"?+",
    b"??",
    b"\\",
    b".",
    b"\n",
    b"\r\n",
    b"A",
    b"0",
    b"UNT",
    b" ",
    b"\xe6",
    b"\x81",
)
NAMES = (
    "plain",
    "full",
    "attachments",
    "references",
    "formatted-text",
    "long-text",
    "many-texts",
    "release-characters",
)
LIMITS = Limits()


@pytest.fixture(scope="module")
def samples(engine: Engine) -> list[bytes]:
    files = sorted(path for path in LETTERS.glob("*/*/message.edi") if path.parent.name in NAMES)
    return [path.read_bytes() for path in files]


def carefully(data: bytes, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Letter], IssueLog]:
    """The letters as the readers read them that make segments."""
    log = IssueLog()
    with monkeypatch.context() as without:
        without.setattr(quick, "read", lambda *_: None)
        return list(edifact.read(data, engine.definitions, log, file="x")), log


def differences(data: bytes, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str] | None:
    """What the quick reader does otherwise; None if it leaves the input to the others."""
    found = quick.read(data, engine.definitions, "x", LIMITS)
    if found is None:
        return None
    return differing(found, *carefully(data, engine, monkeypatch))


def altered(data: bytes, seed: int, number: int) -> Iterator[bytes]:
    """The input with a sign put in, put over another, or with a piece left out or doubled."""
    chance = random.Random(seed)
    for _ in range(number):
        at = chance.randrange(len(data))
        end = at + chance.choice((0, 0, 1, 1, 2, 12))
        put = chance.choice((*SIGNS, b"", data[at : at + chance.randrange(1, 90)]))
        yield data[:at] + put + data[end:]


def test_samples_are_read_alike(samples: list[bytes], engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [differences(data, engine, monkeypatch) for data in samples]
    assert [d for d in found if d] == []
    assert sum(d == [] for d in found) > len(found) * 0.7, "most of them are read quickly"


def test_altered_samples_are_read_alike(samples: list[bytes], engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        differences(other, engine, monkeypatch)
        for seed, data in enumerate(samples)
        for other in altered(data, seed, 12)
    ]
    assert [d for d in found if d] == []
    read = sum(d == [] for d in found)
    assert 0.1 * len(found) < read < 0.9 * len(found), "some can be read quickly, and some not"


def test_released_quotes_in_lined_files_are_read_quickly(engine: Engine) -> None:
    data = (LETTERS / "REF01" / "full" / "message.edi").read_bytes()
    assert b"?'" in data
    assert b"'\n" in data
    assert quick.read(data, engine.definitions, "x", LIMITS) is not None
    assert quick.read(data.replace(b"'\n", b"??'\n"), engine.definitions, "x", LIMITS) is None, "a sign too many"
    asked = re.sub(rb"(FTX\+[A-Z]+\+P00\+\+[^\n]*[a-z.])'\n", rb"\1??'\n", data, count=1)
    assert (letter := quick.read(asked, engine.definitions, "x", LIMITS)) is not None
    assert any("?\n" in plain(value) for value in letter.values.values())
    cut = data.replace(b"?''\n", b"?'\n")
    assert cut != data
    assert quick.read(cut, engine.definitions, "x", LIMITS) is None


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_files_with_line_ends_and_without_are_read_quickly(
    end: bytes, samples: list[bytes], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    lined = [data for data in samples[::5] if data.count(b"'\n") > 4]
    found = [differences(data.replace(b"'\n", b"'" + end), engine, monkeypatch) for data in lined]
    assert [d for d in found if d] == []
    assert sum(d == [] for d in found) > len(found) * 0.7
    halves = [data.replace(b"'\n", b"'", data.count(b"'\n") // 2) for data in lined]
    assert all(quick.read(data, engine.definitions, "x", LIMITS) is None for data in halves)


@pytest.mark.parametrize("sign", [b"\x80", b"\x83", b"\x9f", b"\x07", b"\xa0", b"\xbf", b"\x7f"])
def test_letters_with_suspect_characters_are_left_to_the_others(
    sign: bytes, samples: list[bytes], engine: Engine
) -> None:
    read = 0
    for data in samples[::5]:
        at = data.find(b"FTX+") if b"FTX+" in data else data.find(b"NAD+")
        suspect = data[: data.find(b"'", at)] + sign + data[data.find(b"'", at) :]
        assert quick.read(suspect, engine.definitions, "x", LIMITS) is None
        read += quick.read(suspect.replace(sign, b"a"), engine.definitions, "x", LIMITS) is not None
    assert read, "without it some are"


@pytest.mark.parametrize(
    ("written", "parked"),
    [
        ("a??b", "a\x80b"),
        ("a???:b?'", "a\x80\x81b\x83"),
        ("????", "\x80\x80"),
        ("a?", None),
        ("a?b?:", None),
        ("???", None),
    ],
)
def test_released_signs_are_parked_in_pairs_from_the_left(written: str, parked: str | None) -> None:
    assert quick._parked(written) == (
        (written, 0) if parked is None else (parked, written.count("?") - written.count("??"))
    )


def test_letters_that_are_cut_anywhere_are_left_to_the_others(samples: list[bytes], engine: Engine) -> None:
    for at in range(len(samples[0].rstrip())):
        assert quick.read(samples[0][:at], engine.definitions, "x", LIMITS) is None


def test_places_are_looked_for_when_one_is_asked_for(
    samples: list[bytes], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Compiled] = []
    read = Compiled.read

    def noted(self: Compiled, *args: Any, **options: Any) -> None:
        looked.append(self)
        read(self, *args, **options)

    monkeypatch.setattr(Compiled, "read", noted)
    letter = quick.read(samples[0], engine.definitions, "x", LIMITS)
    assert letter is not None
    assert looked == []
    assert letter.locate("Letter.Identifier")[0].segment == "UNH"
    assert letter.locate("no.such.leaf") == ()
    assert len(looked) == 1


def test_letters_that_were_read_quickly_can_be_pickled(samples: list[bytes], engine: Engine) -> None:
    letter = quick.read(samples[0], engine.definitions, "x", LIMITS)
    assert letter is not None
    again = pickle.loads(pickle.dumps(letter))
    assert again.places == letter.places
    assert again.values == letter.values
    assert [again.locate(leaf) for leaf in again.places] == [letter.locate(leaf) for leaf in letter.places]


def test_values_in_triggers_within_a_text_are_kept_aside(engine: Engine) -> None:
    data = (LETTERS / "REF01" / "formatted-text" / "message.edi").read_bytes()
    number, log = data.count(b"S12+12'"), IssueLog()
    (letter,) = edifact.read(data.replace(b"S12+12'", b"S12+12+XYZ'"), engine.definitions, log)
    assert number > 1
    assert [extra.value for extra in letter.extras] == ["XYZ"] * number
    assert [issue.kind.code for issue in log] == ["EDI100"] * number


@pytest.mark.long
def test_many_altered_samples_are_read_alike(
    samples: list[bytes], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, data in enumerate(samples):
        for other in altered(data, 1000 + seed, 400):
            assert not differences(other, engine, monkeypatch)


def test_the_comparison_can_fail(samples: list[bytes], engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: Compiled, text: str, end: str, letter: Letter) -> bool:
        letter.values["Letter.Identifier"] = "another"
        return True

    monkeypatch.setattr(Compiled, "read_at_once", wrong)
    assert {tuple(d) for data in samples if (d := differences(data, engine, monkeypatch)) is not None} != {()}


def test_references_over_several_segments_are_read_quickly(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (LETTERS / "DIS05" / "attachments" / "message.edi").read_bytes()
    long = b"FTX+URL+P00++" + b"x" * 69 + b"\\:" + b"y" * 9 + b":https?://a.invalid/\\'\nFTX+URL+P00++b'\n"
    assert differences(data.replace(b"UNT+", long + b"UNT+"), engine, monkeypatch) is None, "UNT counts two less"
    counted = re.sub(rb"UNT\+(\d+)", lambda m: long + b"UNT+%d" % (int(m[1]) + 2), data)
    assert differences(counted, engine, monkeypatch) == []


@pytest.mark.parametrize("put", [b"S14+14'\n", b"FTX+URL+P01++a'\n", b"FTX+URL+P00++a+b'\n", b"CIN+DM+\x90'\n"])
def test_segments_that_no_round_of_a_loop_takes_are_left_to_the_others(put: bytes, engine: Engine) -> None:
    data = (LETTERS / "DIS05" / "attachments" / "message.edi").read_bytes()
    counted = re.sub(rb"UNT\+(\d+)", lambda m: b"UNT+%d" % (int(m[1]) + 1), data)
    at = counted.index(b"UNT+")
    assert quick.read(counted[:at] + put + counted[at:], engine.definitions, "x", LIMITS) is None
    taken = b"FTX+SUP+P00++a'\n"
    assert quick.read(counted[:at] + taken + counted[at:], engine.definitions, "x", LIMITS) is not None

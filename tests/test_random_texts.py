"""Formatted text goes to EDIFACT, back, to OIOXML, back and to EDIFACT again without a change.

A seeded run over random texts: all twelve formats, lines that go on across components, segments and formats, blank
lines, texts that need further segment groups and texts for which EDIFACT has no room. Every run tries 1,000 texts, the
long tests 10,000.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from converter import edifact, oioxml
from converter.edifact import writing
from converter.edifact.text import FORMATS, normal_text, write_text
from converter.engine import Engine
from converter.issues import IssueLog
from converter.letter import Letter, Text
from tests.cases import FIXTURES, only

ENGINE = Engine(validate=False)
PLACES = {
    "DIS91": ("plain", "ClinicalInformation[1].Text01", 8, 1),
    "REF01": ("plain", "RelevantClinicalInformation.Anamnesis", 10, 5),
}
"""By type: the case that the letter is made from, the leaf, and how many segments of how many groups take its text.

The subject of DIS91 takes the ninth."""
ALPHABETS = ("ab ", "ab .\\", "aæøå ÆØÅé", "a:+?'&<>\" ")


def texts(number: int, seed: int) -> list[Text]:
    dice = random.Random(seed)
    return [one_text(dice) for _ in range(number)]


def one_text(dice: random.Random) -> Text:
    runs = []
    for _ in range(dice.choice((1, 1, 2, 3, 5, 8))):
        lines = [one_line(dice) for _ in range(dice.choice((1, 1, 2, 3, 10)))]
        runs.append((dice.choice(sorted(FORMATS)), "\n".join(lines)))
    return tuple(run for run in runs if run[1])


def one_line(dice: random.Random) -> str:
    kind = dice.randrange(6)
    if kind == 0:
        return dice.choice(("", "", ".", "\\", "a\\", " ", "x" * 69, "x" * 70, "x" * 68 + " y"))
    return "".join(dice.choices(dice.choice(ALPHABETS), k=dice.choice((1, 5, 20, 60, 75, 150, 400))))


def letter_of(type_: str) -> Letter:
    case = PLACES[type_][0]
    letter = only(ENGINE.letters((FIXTURES / "letters" / type_ / case / "message.edi").read_bytes(), name=type_)).letter
    assert letter is not None
    return letter


def the_letter(found: list[Letter]) -> Letter:
    (letter,) = found
    return letter


def goes_around(letter: Letter, leaf: str, text: Text, room: int) -> bool:
    """Whether a text was written; it comes back by either syntax then, and else there is no room for it."""
    log = IssueLog()
    letter.values[leaf] = text
    wire = edifact.write([letter], ENGINE.definitions, log)
    if wire is None:
        assert len(write_text(text)) > room
        return False
    again = the_letter(list(edifact.read(wire, ENGINE.definitions, log)))
    assert again.values.get(leaf, ()) == normal_text(text)
    assert edifact.write([again], ENGINE.definitions, log) == wire
    xml = oioxml.write([again], ENGINE.definitions, log)
    twin = the_letter(list(oioxml.read(xml or b"", ENGINE.definitions, log)))
    assert twin.values == again.values
    assert edifact.write([twin], ENGINE.definitions, log) == wire
    return True


def run(number: int, seed: int) -> Counter[str]:
    """Try that many texts and count what they were examples of."""
    letters, found = {type_: letter_of(type_) for type_ in PLACES}, Counter[str]()
    for count, text in enumerate(texts(number, seed)):
        type_ = sorted(PLACES)[count % 2]
        _, leaf, segments, groups = PLACES[type_]
        written = write_text(text)
        found["written" if goes_around(letters[type_], leaf, text, segments * groups) else "no room"] += 1
        found["further groups"] += segments < len(written) <= segments * groups
        found["blank line"] += any("." in components for _, components in written)
        found["goes on"] += any(c.endswith("\\") for _, components in written for c in components[:-1])
        found["goes on in another segment"] += any(components[-1].endswith("\\") for _, components in written[:-1])
        found["goes on in another format"] += any(
            one[0] != two[0] and one[1][-1].endswith("\\") for one, two in pairwise(written)
        )
        found.update({form for form, _ in text})
    return found


@pytest.mark.parametrize("number", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_random_texts_go_around(number: int) -> None:
    found = run(number, seed=number)
    assert found.total() > number
    assert set(FORMATS) < set(found)
    assert all(count > number / 100 for count in found.values()), found


def test_a_writer_that_forgets_the_mark_of_continuation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""

    def forgetful(text: Text) -> list[tuple[str, list[str]]]:
        return [(form, [component.rstrip("\\") or "." for component in line]) for form, line in write_text(text)]

    monkeypatch.setattr(writing, "write_text", forgetful)
    with pytest.raises(AssertionError):
        run(100, seed=1)

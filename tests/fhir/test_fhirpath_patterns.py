"""Regular expressions of rules: the same answers as `re`, in time that grows with the text and not with its powers."""

from __future__ import annotations

import random
import re
import time

import pytest

from converter.fhir.fhirpath import patterns
from converter.fhir.fhirpath.values import Undecided

HARMLESS = ["^[0-9]{13}$", "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}", "^([0-9]){11,}$", r"^[^\s]+$", "[+]?[-0-9]", "^a|b[.]c$"]
HARMFUL = [
    "(a+)+b",
    "^(a|a)*b$",
    "(a|aa)+$",
    "a*a*a*b",
    r"^.*[|][0-9]+[.][0-9]+([.][0-9]+)?(-[0-9A-Za-z-]+([.][0-9A-Za-z-]+)*)?$",
    "([a-z]{0,254}){0,254}!",
    "[a-z]+[0-9]",
    "(?i)(A+)+b",
]


def test_harmless_patterns_run_on_re() -> None:
    assert all(isinstance(patterns.searcher(p).__self__, re.Pattern) for p in HARMLESS)  # type: ignore[attr-defined]


def test_harmful_patterns_do_not() -> None:
    assert all(isinstance(patterns.searcher(p).__self__, patterns._Machine) for p in HARMFUL[:5] + HARMFUL[6:])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "pattern", [*HARMLESS, *HARMFUL[:5], *HARMFUL[6:], "a{2,3}b?", "[^a]b", r"\d\w\s\D", "^$", "", "x|^a$"]
)
def test_machine_answers_as_re_does(pattern: str) -> None:
    chance = random.Random(3)
    machine = patterns._Machine(pattern, patterns._parse(pattern))
    wanted = re.compile(patterns._strict_end(pattern), re.DOTALL)
    letters = "aab|b.c1-0 !A\n"
    for _ in range(400):
        text = "".join(chance.choice(letters) for _ in range(chance.randrange(12)))
        assert machine.search(text) is bool(wanted.search(text)), (pattern, text)


@pytest.mark.parametrize("pattern", [*HARMFUL[:5], *HARMFUL[6:]])
def test_time_grows_with_the_text(pattern: str) -> None:
    started = time.process_time()
    patterns.find(pattern, "a" * 200_000 + "|" * 1000 + "\x00")
    assert time.process_time() - started < 5


def test_too_large_a_pattern_is_not_decided() -> None:
    with pytest.raises(Undecided):
        patterns.find(HARMFUL[5], "a")


@pytest.mark.parametrize("pattern", ["(a)\\1", "(", "[z-a]", "a++b", "(?=a)(a+)+"])
def test_what_cannot_be_matched_safely_is_not_decided(pattern: str) -> None:
    with pytest.raises(Undecided):
        patterns.find(pattern, "aa")


def test_dollar_is_the_strict_end() -> None:
    assert patterns.find("^[0-9]$", "1")
    assert not patterns.find("^[0-9]$", "1\n")
    assert patterns.find("^[$]$", "$")
    assert patterns.find(r"^\$$", "$")


def test_replacing() -> None:
    assert patterns.replace_all("([0-9])x", "<$1>", "1x2x") == "<1><2>"
    with pytest.raises(Undecided):
        patterns.replace_all("(a+)+b", "", "aaa")

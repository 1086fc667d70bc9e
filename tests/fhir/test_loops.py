"""Loops in place of list comprehensions give the same answer, ask the same, and leave the same unasked."""

from __future__ import annotations

import random
from typing import Any

import pytest

from converter.fhir.loops import DEEPEST, Loops
from converter.fhir.source import Source

WORDS = ("a", "b", "c")


def refused(conditions: list[str], room: int = DEEPEST) -> tuple[Source, Any]:
    """A function that says no as soon as one of these conditions is met; `made` are the loops that it has."""
    source = Source({"ONE": (None,)})
    loops = Loops(source)
    with source.block("def refuse(r, ask):"):
        for condition in conditions:
            loops.refuse(condition, "return False", room)
        source("return True")
    source.load("<loops>")
    return source, source.names["refuse"]


def condition(chance: random.Random, depth: int, owner: str, number: list[int]) -> str:
    """A condition as the compilers of rules print them."""

    def name() -> str:
        number[0] += 1
        return f"t{number[0]}"

    def inner(owner: str = owner) -> str:
        return condition(chance, depth - 1, owner, number)

    def listed(value: str) -> str:
        one, key = name(), chance.choice(WORDS)
        items = chance.choice([f"{owner}.get({key!r}, ())", f"{owner}.get({key!r}, ())[:1]", f"[{owner}]"])
        first = chance.choice(["", f"for _ in ONE if {inner()} "])
        second = chance.choice(["", f" for {one}s in {one}.get('a', ())"])
        return f"[{value.format(one)} {first}for {one} in {items}{second} if {inner(one)}]"

    leaf = f"ask({owner}, {chance.choice(WORDS)!r})"
    if not depth:
        return leaf
    kinds = [
        lambda: leaf,
        lambda: f"(not {inner()})",
        lambda: f"({inner()} and {inner()} and {inner()})",
        lambda: f"({inner()} or {inner()} or {inner()})",
        lambda: f"({inner()} if {inner()} else {inner()})",
        lambda: listed("1"),
        lambda: f"(len({listed('1')}) == 1)",
        lambda: f"(bool({inner()}) is not bool({inner()}))",
        lambda: f"(({listed('{}')}) not in ([], [{{}}]))",
        lambda: f"bool((a{name()} := [*{listed('{}')}]) and ({inner()} or True))",
    ]
    return chance.choice(kinds)()


def thing(chance: random.Random, depth: int) -> dict[str, Any]:
    """An object whose elements are lists of objects."""
    return {word: [thing(chance, depth - 1) for _ in range(chance.choice([0, 1, 1, 2]))] for word in WORDS[: depth + 1]}


def asking() -> tuple[Any, list[tuple[int, str]]]:
    asked: list[tuple[int, str]] = []

    def ask(owner: Any, word: str) -> bool:
        asked.append((id(owner), word))
        return bool(owner.get(word))

    return ask, asked


def test_loops_answer_as_comprehensions_do() -> None:
    # An operand's list is made before the operator's other operand is read, and a `yes` ends the search: what is asked
    # may be less or be asked in another order, never of another object.
    chance, answers, looped = random.Random(7), set[bool](), 0
    for _ in range(150):
        conditions = [condition(chance, 3, "r", [10 * n]) for n in range(2)]
        source, refuse = refused(conditions)
        looped += "\n    for " in source.text() or "h1" in source.text()
        for _ in range(3):
            data = thing(chance, 2)
            ask, asked = asking()
            wanted = not any(eval(text, {"ONE": (None,), "r": data, "ask": ask}) for text in conditions)  # noqa: S307 - made above
            known, asked[:] = {*asked}, []
            assert refuse(data, ask) is wanted, source.text()
            assert {*asked} <= known
            answers.add(wanted)
    assert answers == {True, False}
    assert looped > 75


@pytest.mark.parametrize(
    ("text", "room"),
    [
        ("[1 for w in r['a'] if [1 for w in w['a'] if w] and w['b']]", 20),  # a loop would overwrite `w`
        ("[1 for t1 in r['a'] for t2 in t1['a']]", 1),  # deeper than Python allows
        ("r.get(' for ')", 20),  # a text
        ("len([1 for t1 in r['a']] if r else [1 for t2 in r['a']]) == 1", 20),  # one of them is not needed
    ],
)
def test_what_loops_cannot_say_stays_as_it_is(text: str, room: int) -> None:
    source, _ = refused([text], room)
    assert f"if ({text}):" in source.text().replace("((", "(").replace("))", ")") or f"if {text}:" in source.text()
    assert "\n    for " not in source.text()


def test_what_two_conditions_have_in_common_is_looked_for_once() -> None:
    codes = "[{0}.get('code') for {0} in r.get('category', ()) if 'code' in {0}]"
    first, second = f"{codes.format('t1')} == ['x']", f"{codes.format('t2')} == ['y']"
    assert refused([first, second])[0].text().count("for t") == 1
    # Not if it was looked for under a condition only, or if it is about another object.
    assert refused([f"r and {first}", second])[0].text().count("for t") == 2
    assert refused([first, second.replace("r.get", "q.get")])[0].text().count("for t") == 2
    source = Source({})
    loops = Loops(source)
    for text in (first, second):
        loops.refuse(text, "return False", DEEPEST)
        loops.forget()
    assert source.text().count("for t") == 2

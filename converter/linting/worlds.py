"""Guards compared without a message: every combination of codes and absences that the letter allows, up to a limit.

A *world* gives each element that guards look at one value: a code of its list, a code that a guard names, one that none
names, or absence where the letter allows it. What cannot be decided within the limit is left alone: no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import product
from typing import Any

from converter.linting.letters import LetterFacts
from converter.mapping import guards
from converter.mapping.document import Rule

LIMIT = 4096
OTHER = "\0other"
ANOTHER = "\0another"
World = dict[str, str | None]
Test = Callable[[Mapping[str, Any]], bool]
# Codecs that carry only some values: what the others carry cannot be told from the guards.
SOME = frozenset(
    ["joined_parts", "split_name", "marked", "name_of_parts", "plus_joined"]
)  # one of their sources is enough
ALWAYS = "$always present or $always absent"
CHOOSY = frozenset(["only", "same_as", "other_than", "not_in", "matching", "not_matching", "municipality", "formatted"])


@lru_cache(maxsize=4096)
def _test(text: str) -> Test:
    code = compile("lambda w: bool(" + guards.compile_guard(text, lambda path: f"w[{path!r}]") + ")", "<guard>", "eval")
    test: Test = eval(code, {"__builtins__": {"bool": bool}})  # noqa: S307 - our own guard, compiled above
    return test


class Worlds:
    """The combinations for one letter. `any_absent`: of letters, too, that lack what they must have.

    `key` are the elements that ids are built from: a letter that lacks one is not converted at all.
    """

    def __init__(self, letters: LetterFacts | None, *, any_absent: bool = False, key: Iterable[str] = ()) -> None:
        self.letters, self.any_absent, self.key = letters, any_absent, frozenset(key)
        self._known: dict[tuple[str, ...], list[World] | None] = {}

    def of(self, *texts: str, inside: str = "") -> list[World] | None:
        """All worlds for the elements that some guards look at; None if they are too many.

        `inside` is a group of the letter that is there, because everything is said for one repetition of it.
        """
        key = (inside, *texts)
        if key not in self._known:
            self._known[key] = self._all(texts, inside)
        return self._known[key]

    def _all(self, texts: Iterable[str], inside: str) -> list[World] | None:
        named: dict[str, dict[str, None]] = {}
        for text in texts:
            for path, values in guards.guard_values(text):
                named.setdefault(path, {}).update(dict.fromkeys(values))
        domains: dict[str, list[str | None]] = {path: self._domain(path, values) for path, values in named.items()}
        if any(" same " in text for text in texts):  # two elements can have different values that no guard names
            domains = {path: [*([ANOTHER] if OTHER in found else []), *found] for path, found in domains.items()}
        size = 1
        for domain in domains.values():
            size *= len(domain)
        if size > LIMIT:
            return None
        worlds = (dict(zip(domains, combination, strict=True)) for combination in product(*domains.values()))
        wholes = {path: self._whole(path) for path in domains}
        return [world for world in worlds if self._possible(world, wholes, inside)]

    def _domain(self, path: str, named: Iterable[str]) -> list[str | None]:
        found: dict[str | None, None] = dict.fromkeys(named)
        codes = self.letters.codes(path) if self.letters and not path.startswith("$") else None
        if codes is None:
            found[OTHER] = None
        else:
            rest = [c for c in codes if c not in found]
            found.update(dict.fromkeys(rest[:1]))  # codes that no guard names are all alike
        if path == "$always":
            return [OTHER]
        return [*found, None]

    def _whole(self, path: str) -> str | None:
        """The group with which an element always comes; "" for one of every letter, None for one that may be absent."""
        if self.letters is None or self.any_absent or path.startswith("$"):
            return None
        if path in self.key:
            return ""
        names = path.split(".")
        for end in range(len(names), 0, -1):
            element = self.letters.element(".".join(names[:end]))
            if element is None:
                return None
            if element.min == 0 or element.repeats:
                return ".".join(names[:end]) if end < len(names) else None
        return ""

    @staticmethod
    def _possible(world: World, wholes: Mapping[str, str | None], inside: str) -> bool:
        """Whether no group is there without an element that it must have."""
        for path, value in world.items():
            whole = wholes[path]
            if value is not None or whole is None:
                continue
            if whole in ("", inside) or inside.startswith(whole + "."):
                return False
            if any(other.startswith(whole + ".") and have is not None for other, have in world.items()):
                return False
        return True

    def ever(self, *texts: str, inside: str = "") -> bool | None:
        """Whether all guards hold together in some world; None if that cannot be said."""
        worlds = self.of(*texts, inside=inside)
        tests = [_test(text) for text in texts]
        return None if worlds is None else any(all(test(world) for test in tests) for world in worlds)

    def implies(self, first: str, others: Iterable[str], inside: str = "") -> bool | None:
        """Whether in every world of the first guard one of the others holds; None if that cannot be said."""
        rest = list(others)
        worlds = self.of(first, *rest, inside=inside)
        if worlds is None:
            return None
        start, tests = _test(first), [_test(text) for text in rest]
        return all(any(test(world) for test in tests) for world in worlds if start(world))


def fires(rule: Rule) -> str:
    """The guard under which a rule of the way there has a value: its own, and that its sources are there."""
    sources = (*rule.sources, *rule.letter_columns.values())
    parts = [f"{source.replace('[*]', '[1]')} present" for source in sources]
    if rule.codec.name in SOME:
        parts = [f"({' or '.join(parts)})"]
    return " and ".join([*parts, *([f"({rule.when})"] if rule.when else [])]) or ALWAYS

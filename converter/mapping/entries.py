"""Lines of generated source that write the ledger: which leaf a rule carried, where to, and what was lost.

A leaf has one entry, that of the first rule that carries it. What fills a slot is known when the slot is evaluated; the
entry follows when the slot is built into the Bundle, since only then its place is known.
"""

from __future__ import annotations

import re
from collections import Counter

from converter.mapping.document import Document, Rule
from converter.mapping.guards import guard_paths
from converter.mapping.source import LetterSource, starred
from converter.mapping.targets import Slot, Tree

_COUNT = re.compile(r"\{([^}]*)\}")
MAPPED, LOSSY, DEFAULTED = "mapped", "mapped-lossy", "defaulted"


class LedgerSource:
    """Writes the lines. `names` holds the name of every rule, by its identity."""

    def __init__(self, out: LetterSource, document: Document) -> None:
        self.out, self.put = out, out.put
        self.origin_lossy = document.origin_lossy
        self.owners = _owners(document)
        self.names: dict[int, str] = {}

    def origin(self, path: str, rule: str, pointer: str) -> None:
        """A leaf that travels in the identifier of the Bundle."""
        entry = self.entry(path, MAPPED, rule, pointer, "")
        for when, leaf, loss in self.origin_lossy:
            if leaf == path:
                # A guard may hold where the leaf is absent, as `not (A same B)` does: what is not there has no line.
                self.put(f"if {self.out.get(path)}:")
                lossy = f"{self.entry(path, LOSSY, rule, pointer, loss)} if {self.out.guard(when)} else {entry}"
                self.put(f"    if {path!r} in own: led[own[{path!r}]] = {lossy}")
                self.put(f"    else: led.append({lossy})")
                return
        self.own([self.out.get(path)], path, entry)

    def own(self, conditions: list[str], leaf: str, entry: str) -> None:
        """The line of an entry under conditions, unless the leaf has one."""
        key = self.out.leaf(leaf)
        noted = f"led.append({entry})"
        if self.owners[leaf] > 1 or (self.out.group and key == repr(leaf)):
            conditions = [*conditions, f"{key} not in own"]
            last = any(leaf == path for _, path, _ in self.origin_lossy)
            noted = f"own[{key}] = len(led); {noted}" if last else f"own[{key}] = {noted}"
        self.put((f"if {' and '.join(conditions)}: " if conditions else "") + noted)

    def fired(self, slot: Slot, rule: Rule, lost: str = "") -> None:
        """Note that a rule may fill the slot; `lost` is the expression of whether something is lost by it then.

        Where several may, or the default does if none, a number tells which did it.
        """
        if _writes(rule):
            slot.fired.append((rule, lost))
            if not slot.alone:
                self.put(f"if {slot.var} is not None: r{slot.var} = {len(slot.fired)}")

    def asked(self, slot: Slot) -> bool:
        """Whether it is asked which of several rules filled the slot."""
        return not slot.alone and (slot.default is not None or any(map(_writes, slot.rules)))

    def enter(self, child: Slot | Tree, pointer: str) -> None:
        """The ledger lines of everything in a literal."""
        if isinstance(child, Slot):
            self._slot(child, pointer)
            return
        for name, inner in child.properties.items():
            if isinstance(inner, dict):
                for number, item in enumerate(inner.values()):
                    self.enter(item, f"{pointer}/{name}/{number}")
            else:
                self.enter(inner, f"{pointer}/{name}")

    def _slot(self, slot: Slot, pointer: str) -> None:
        rule = slot.rules[0]
        if slot.constant is not None:
            for leaf in rule.claims:
                entry = self.entry(leaf, LOSSY if rule.loss else MAPPED, rule, pointer, rule.loss)
                self.own([self.out.get(leaf)], leaf, entry)
            if rule.defaulted:
                self.made_up(rule, pointer, rule.loss)
            return
        branch = "if"
        if slot.default is not None:
            self.put(f"if r{slot.var} == 0:")
            with self.out.deeper():
                self.made_up(slot.default, pointer, slot.default.loss)
            branch = "elif"
        for number, (rule, lost) in enumerate(slot.fired, 1):
            if slot.alone:
                self._carried(slot, rule, lost, pointer)
                continue
            self.put(f"{branch} r{slot.var} == {number}:")
            branch = "elif"
            with self.out.deeper():
                self._carried(slot, rule, lost, pointer)

    def _carried(self, slot: Slot, rule: Rule, lost: str, pointer: str) -> None:
        """The lines of a rule that filled a slot."""
        always = rule.loss if rule.default is None else ""
        leaves = [*rule.letter_columns.values(), *rule.sources, *rule.claims]
        for leaf in () if rule.also else leaves:
            if leaf.startswith("$"):
                continue
            entry = self.entry(leaf, LOSSY if always else MAPPED, rule, pointer, always)
            if lost:
                entry = f"{self.entry(leaf, LOSSY, rule, pointer, rule.lossy or always)} if {lost} else {entry}"
            group, star, _ = leaf.partition("[*]")
            if star:
                self.put(f"for k in {self.out.numbers(group)}:")
                self.put(f"    if g({starred(leaf)}) and {starred(leaf)} not in own:")
                self.put(f"        own[{starred(leaf)}] = led.append({entry})")
                continue
            conditions = ["i"] if slot.forced and slot.alone else []
            self.own([*conditions, *self._there(slot, rule, leaf)], leaf, entry)
        if _made_up(rule):
            # A value from the table stands in for one that the letter lacks: the loss holds although a value was found.
            self.made_up(rule, pointer, rule.loss or always)
        elif lost and _says_more(rule):
            self.put(f"if {lost}:")
            with self.out.deeper():
                self.made_up(rule, pointer, rule.lossy)

    def _there(self, slot: Slot, rule: Rule, leaf: str) -> list[str]:
        """The condition that a leaf of a rule that fired is there."""
        if leaf not in rule.sources:
            return [self.out.get(leaf)]
        return [f"{slot.var}_{rule.sources.index(leaf)}"] if len(rule.sources) > 1 else []

    def made_up(self, rule: Rule, pointer: str, loss: str) -> None:
        """The line of a value that stands in the Bundle and not in the letter."""
        self.put(f"dfl.append({self.entry('', DEFAULTED, rule, pointer, loss)})")

    def entry(self, leaf: str, fate: str, rule: Rule | str, pointer: str, loss: str) -> str:
        """The expression of an entry: a constant, one of a row or table, or put together when the code runs."""
        name = rule if isinstance(rule, str) else self.names[id(rule)]
        row = self.out.row
        around = row.names if row is not None else ()
        counts = counts_in(pointer)
        inner = [count for count in counts if count not in around]
        if "[*]" in leaf or any(count not in self.out.most for count in inner):
            key = starred(leaf) if "[*]" in leaf else self.out.leaf(leaf)
            return f"({key}, {fate!r}, {name!r}, {shown(pointer)}, {loss!r})"
        for count in inner:
            pointer = pointer.replace(f"{{{count}}}", "{}")
        most = [self.out.most[count] for count in inner]
        made = (self.out.numbered(leaf), fate, name, pointer, loss, *most)
        if row is not None and (len(inner) < len(counts) or self.out.repeats(leaf)):
            found = row.part(made)
        else:
            found = self.out.table(f"entries{made!r}")
        return found + "".join(f"[{count}]" for count in inner)


def _writes(rule: Rule) -> bool:
    """Whether a rule has lines in the ledger."""
    leaves = (*rule.letter_columns, *rule.claims, *(source for source in rule.sources if not source.startswith("$")))
    return _made_up(rule) or _says_more(rule) or (bool(leaves) and not rule.also)


def _made_up(rule: Rule) -> bool:
    """Whether what a rule writes stands in for something that the letter lacks."""
    return rule.defaulted or (any(source.startswith("$") for source in rule.sources) and bool(rule.loss))


def _says_more(rule: Rule) -> bool:
    """Whether what a rule writes may say more than its leaf, which another rule carries."""
    return rule.also and bool(rule.lossy)


def _owners(document: Document) -> Counter[str]:
    """How many rules may carry a letter path."""
    owners: Counter[str] = Counter()
    for rule in document.rules():
        if rule.forward and not rule.also:
            owners.update((*rule.sources, *rule.claims, *rule.letter_columns.values()))
        if rule.sentence:
            owners.update([path.removeprefix("/") for path in guard_paths(rule.sentence_when)[:1]])
    owners.update(document.origin)
    return owners


def counts_in(pointer: str) -> list[str]:
    """What is counted when the code runs, in the order of a pointer."""
    return _COUNT.findall(pointer)


def shown(pointer: str) -> str:
    """Expression for a JSON pointer; what stands in braces is counted when the code runs."""
    return f"f{pointer!r}" if "{" in pointer else repr(pointer)

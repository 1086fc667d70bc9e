"""Lines of generated source that write the ledger: which leaf a rule carried, where to, and what was lost.

A leaf has one entry, that of the first rule that carries it. What fills a slot is known when the slot is evaluated; the
entry follows when the slot is built into the Bundle, since only then its place is known.
"""

from __future__ import annotations

from collections import Counter

from converter.mapping.document import Document, Rule
from converter.mapping.source import LetterSource, starred
from converter.mapping.targets import Slot, Tree

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
        for when, leaf, loss in self.origin_lossy:
            if leaf == path:
                # A guard may hold where the leaf is absent, as `not (A same B)` does: what is not there has no line.
                self.put(f"if not g({path!r}): pass")
                self.put(f"elif {self.out.guard(when)}:")
                self.put(f"    led[{path!r}] = ({path!r}, {LOSSY!r}, {rule!r}, {pointer}, {loss!r})")
                self.put("else:")
                self.put(f"    led[{path!r}] = ({path!r}, {MAPPED!r}, {rule!r}, {pointer}, '')")
                return
        self.put(
            f"if {path!r} not in led and g({path!r}): led[{path!r}] = ({path!r}, {MAPPED!r}, {rule!r}, {pointer}, '')"
        )

    def claims(self, rule: Rule, lost: bool) -> str:
        """The ledger entries that a rule makes when it fires, without their pointer."""
        always = rule.loss if rule.default is None else ""
        loss = (rule.lossy or always) if lost else always
        disposition = LOSSY if lost or always else MAPPED
        leaves = [*rule.letter_columns.values(), *(s for s in rule.sources if not s.startswith("$")), *rule.claims]
        leaves = [] if rule.also else leaves
        name = self.names[id(rule)]
        entries = [self._claimed(leaf, f"{disposition!r}, {name!r}, {loss!r}") for leaf in leaves]
        if rule.defaulted or (any(s.startswith("$") for s in rule.sources) and rule.loss):
            # A value from the table stands in for one that the letter lacks: the loss holds although a value was found.
            entries.append(f"('', {DEFAULTED!r}, {name!r}, {(rule.loss or loss)!r})")
        return f"({', '.join(entries)},)" if entries else "()"

    def _claimed(self, leaf: str, rest: str) -> str:
        group, star, _ = leaf.partition("[*]")
        if star:
            return f"*[({starred(leaf)}, {rest}) for k in range(1, count({group!r}, 0) + 1)]"
        return f"({self.out.leaf(leaf)}, {rest})"

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
        name = self.names[id(rule)]
        if slot.constant is not None:
            for leaf in rule.claims:
                fate = LOSSY if rule.loss else MAPPED
                entry = f"({self.out.leaf(leaf)}, {fate!r}, {name!r}, {shown(pointer)}, {rule.loss!r})"
                self.put(f"if {self.out.get(leaf)}: led.setdefault({self.out.leaf(leaf)}, {entry})")
            if rule.defaulted:
                self.put(f"dfl.append(('', {DEFAULTED!r}, {name!r}, {shown(pointer)}, {rule.loss!r}))")
        elif slot.simple:
            self._simple_entries(slot, rule, pointer)
        elif slot.default is not None:
            entry = f"('', {DEFAULTED!r}, {self.names[id(slot.default)]!r}, {shown(pointer)}, {slot.default.loss!r})"
            self.put(f"if r{slot.var} is None: dfl.append({entry})")
            self.put(f"else: claim(led, dfl, V, r{slot.var}, {shown(pointer)})")
        elif any(r.defaulted or not r.also for r in slot.rules):
            self.put(f"claim(led, dfl, V, r{slot.var}, {shown(pointer)})")

    def _simple_entries(self, slot: Slot, rule: Rule, pointer: str) -> None:
        """One rule alone fills the slot: its leaves are entered where they stand, without a look-up of claims."""
        if rule.also or not rule.sources:
            return
        always = rule.loss if rule.default is None else ""
        name, loss = self.names[id(rule)], repr(always)
        disposition = repr(LOSSY if always else MAPPED)
        if rule.codec.lossy_there:
            flag = f"x{slot.var}"
            disposition = f"{LOSSY!r} if {flag} else {disposition}"
            loss = f"{rule.lossy or always!r} if {flag} else {loss}"
        for number, source in enumerate(rule.sources):
            group, star, _ = source.partition("[*]")
            if star:
                entry = f"({starred(source)}, {disposition}, {name!r}, {shown(pointer)}, {loss})"
                self.put(f"for k in range(1, count({group!r}, 0) + 1):")
                self.put(f"    if g({starred(source)}): led.setdefault({starred(source)}, {entry})")
                continue
            leaf = self.out.leaf(source)
            conditions = ["i"] if slot.forced else []
            conditions += [f"{slot.var}_{number}"] if len(rule.sources) > 1 else []
            if self.owners[source] > 1:
                conditions.append(f"{leaf} not in led")
            condition = f"if {' and '.join(conditions)}: " if conditions else ""
            self.put(f"{condition}led[{leaf}] = ({leaf}, {disposition}, {name!r}, {shown(pointer)}, {loss})")


def _owners(document: Document) -> Counter[str]:
    """How many rules may carry a letter path."""
    owners: Counter[str] = Counter()
    for rule in document.rules():
        if rule.forward and not rule.also:
            owners.update((*rule.sources, *rule.claims, *rule.letter_columns.values()))
    owners.update(document.origin)
    return owners


def shown(pointer: str) -> str:
    """Expression for a JSON pointer; what stands in braces is counted when the code runs."""
    return f"f{pointer!r}" if "{" in pointer else repr(pointer)

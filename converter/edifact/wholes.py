r"""Compiles a layout to the Python source of its quick reader, for a letter about which there is nothing to say.

It expects every segment where the layout has it, plainly as its template says. Of all that stands between two loops it
makes one regular expression, and gives the leaves their values from its groups; in a loop, one for each round:

    if (m := MATCH1(T, p)) is None:
        return False
    c1_1_1, c2_2_1, K, = m.groups('')
    p = m.end()

An item that may be absent is `(?:ITEM|(?!KEY))`, so that one that is there is taken or the letter given up: what is
read is what `readers.py` reads. Giving up is always right: those read the letter then, and report what there is. Places
are theirs too, when somebody asks for one.

In the source `T` is the letter (see `atonce.py`), `p` where the next segment starts, `K` its key: tag, plus, element 1
component 1; of some triggers also that of the segment behind it. `V` and `N` take values and counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import product

from converter.definitions import Definition
from converter.definitions.layout import Group, Item, Repeat, SegmentTemplate, templates
from converter.edifact.atonce import overflowing, plain_lines, plain_text
from converter.edifact.controls import iso_date, iso_time
from converter.edifact.expressions import BODY, FORM, MARK, beginnings, constant, following, key, segment
from converter.edifact.fields import Scope, SegmentCompiler
from converter.edifact.readers import ReaderCompiler
from converter.edifact.source import Module

AT_ONCE = "read_at_once"
END = "'"
"""The end of a segment."""
_GIVE_UP = "return False"


@dataclass(slots=True)
class _Run:
    """Neighbouring items with one expression: its parts, its groups' variables, and what prints how they are taken."""

    expressions: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    takers: list[Callable[[], None]] = field(default_factory=list)


class WholeCompiler(ReaderCompiler):
    """Compiles one definition for letters whose segments end with `end`: `'`, with a line end behind it or without."""

    def __init__(self, definition: Definition, end: str = END) -> None:
        super().__init__(definition)
        self._end = end
        pieces = [piece for template, _ in templates(definition.layout) for piece in template.pieces()]
        self._counted = {piece.counter for piece in pieces} - {"", "each"}
        groups = [item for item in definition.layout if isinstance(item, Group)]
        self._passed = {self._written(g) for g in groups if g.overflow or (self._twin(g) and not _in_run(g))}
        self._run = _Run()

    def source(self, name: str = AT_ONCE) -> Module:
        """The module with `read_at_once`."""
        self._out, self._variables = Module(), 0
        self._segments = SegmentCompiler(self._out, quick=True)
        self._service: dict[str, str] = {}  # variables of what is asked about in UNB and UNH
        self._out.objects.update(iso_date=iso_date, iso_time=iso_time, plain_text=plain_text, plain_lines=plain_lines)
        self._out.objects.update(overflowing=overflowing, END=END)
        with self._out.block(f"def {name}(T, V, N):"):
            self._out.add(f'"""{self._definition.type} {self._definition.version}."""')
            self._out.add("p = 0")
            self._known = dict.fromkeys(self._counted, 0)
            scope = Scope()
            self._remembered(scope)
            self._items(self._definition.layout, scope)
            self._flush()
            self._trailers()
            self._constants(self._definition.tree, scope)
            self._out.add("return True")
        return self._out

    def _give_up(self, condition: str) -> None:
        with self._out.block(f"if {condition}:"):
            self._out.add(_GIVE_UP)

    def _trailers(self) -> None:
        """UNT and UNZ: nothing else may be left, and their counts and references must be right."""
        unb, unh = self._service.get("UNB5_1"), self._service.get("UNH1_1")
        if unb is None or unh is None:
            self._out.add(_GIVE_UP)
        else:
            last = f"{END}{self._end!r}"[2:-1]  # as it is written in the source
            self._give_up(f'T[p:] != f"UNT+{{T.count(END) - 2}}+{{{unh}}}{last}UNZ+1+{{{unb}}}\'"')

    def _written(self, group: Group) -> str:
        return f"{group.trigger}+{group.number}{self._end}"

    def _trigger_of(self, group: Group) -> str:
        """The expression of a trigger."""
        return re.escape(self._written(group))

    # -- runs

    def _flush(self) -> None:
        """Print the run that was gathered."""
        run, self._run = self._run, _Run()
        if not run.expressions:
            return
        match = re.compile("".join(run.expressions) + following(self._passed)).match
        self._give_up(f"(m := {self._out.name('MATCH', match)}(T, p)) is None")
        self._out.add(f"{', '.join([*run.variables, 'K'])}, = m.groups('')")
        self._out.add("p = m.end()")
        for taker in run.takers:
            taker()

    def _segment(self, template: SegmentTemplate, scope: Scope) -> None:
        if template.kind == "lines":
            self._lines(template, scope)
        elif template.kind == "object" or (template.kind == "text" and template.starts is None):
            self._flush()
            self._out.add(_GIVE_UP)
        else:
            self._part(template, scope)

    def _part(self, template: SegmentTemplate, scope: Scope) -> None:
        """Add a segment, or the segments of a text, to the run."""
        run, name, names = self._run, f"{self._new('c')}_", list[str]()

        numbers = {f"{e}_{c}": self._known.get(p.counter) for e, c, p in template.places() if p.counter}

        def group(group: str, expression: str) -> str:
            if (number := numbers.get(group)) is not None:
                return str(number)
            names.append(group)
            return f"({expression})"

        always = template.required and not template.unless
        expression = segment(template, self._end, group, marked=not always and _told(template, scope))
        run.variables += [name + found for found in names]
        if template.kind == "text":
            expression += self._more(template, name, names, scope)
        else:
            run.takers.append(lambda: self._take(template, name, names, scope))
        passing = self._passing(scope)
        run.expressions.append(
            passing + expression if always else f"(?:{passing}{expression}|(?!{passing}{key(template)}))"
        )

    def _more(self, template: SegmentTemplate, name: str, names: list[str], scope: Scope) -> str:
        """The expression of the segments with which a text goes on: those with the same component 1 of element 1."""
        run, passing = self._run, self._passing(scope)
        first = rf"\{run.variables.index(name + '1_1') + 1}" if "1_1" in names else ""
        same = rf"{template.tag}\+{first}[+:']" if first else key(template)
        again = segment(template, self._end, lambda found, part: f"(?:{first if found == '1_1' else part})")
        parts = segment(template, self._end, lambda found, part: f"({'' if found in (FORM, BODY) else '?:'}{part})")
        run.variables.append(f"{name}rest")
        run.takers.append(lambda: self._take_text(template, name, re.compile(parts).findall, scope))
        return f"((?:{passing}{again})*)(?!{passing}{same})"

    def _take(self, template: SegmentTemplate, name: str, names: list[str], scope: Scope) -> None:
        """Print how the leaves of a segment get their values."""
        fields = [(e, c, p) for e, c, p in template.places() if f"{e}_{c}" in names]
        if template.tag in ("UNB", "UNH"):
            self._service.update({f"{template.tag}{group}": name + group for group in names})
        if template.tag == "UNB":
            date, time = self._service.get("UNB4_1"), self._service.get("UNB4_2")
            self._give_up(f"not (iso_date({date}) and iso_time({time}))")
        self._out.add(f"# {template.source}")
        guard: AbstractContextManager[None] = nullcontext()
        if MARK in names:
            guard = self._out.block(f"if {name}{MARK}:")
        with guard:
            if template.first and scope.groups:
                self._give_up(scope.groups)
            self._segments.taken(template, fields, scope, name)
        if template.unless:
            with self._out.block(f"elif {scope.key(template.unless)} not in V:"):
                self._out.add(_GIVE_UP)

    def _take_text(
        self, template: SegmentTemplate, name: str, parts: Callable[[str], list[tuple[str, str]]], scope: Scope
    ) -> None:
        """Print how a text gets its value."""
        out = self._out
        others = [(e, c, p) for e, c, p in template.places() if p.own and not p.text]
        piece = next(p for p in template.pieces() if p.text)
        form, body, rest = f"{name}{FORM}", f"{name}{BODY}", f"{name}rest"
        out.add(f"# {template.source}")
        with nullcontext() if template.required else out.block(f"if {form}:"):
            self._segments.taken(template, others, scope, name)
            self._give_up(f"(v := plain_text({form}, {body}, {rest}, {out.name('PARTS', parts)})) is None")
            out.add(f"V[{scope.key(piece.path)}] = v")
            self._segments.text_taken(template, piece, scope)
        if template.unless:
            with out.block(f"elif {scope.key(template.unless)} not in V:"):
                out.add(_GIVE_UP)

    def _lines(self, template: SegmentTemplate, scope: Scope) -> None:
        self._flush()
        self._step_over(scope, [template])
        with self._out.block(f"if {_at([template])}:"):
            self._take_lines(template, scope)
        if template.required:
            with self._out.block(f"elif {scope.key(template.unless)} not in V:" if template.unless else "else:"):
                self._out.add(_GIVE_UP)

    def _take_lines(self, template: SegmentTemplate, scope: Scope) -> None:
        """Print how logical lines are taken, which tell themselves over how many segments they go."""
        out, fields = self._out, len(template.slots[-1].components)
        expression = segment(template, self._end, lambda group, part: f"({'' if group == BODY else '?:'}{part})")
        match = out.name("MATCH", re.compile(expression + following(self._passed)).match)
        out.add(f"# {template.source}")
        self._give_up(f"(v := plain_lines(T, p, {match}, fields={fields}, trigger={scope.trigger!r})) is None")
        out.add("p, K, lines = v")
        self._segments.lines_taken(template, scope)

    def _passing(self, scope: Scope) -> str:
        """The expression of a trigger that may stand between the segments of a group."""
        return f"(?:{re.escape(scope.trigger)}|)" if scope.trigger else ""

    def _key(self, item: SegmentTemplate | Group) -> str:
        return self._trigger_of(item) if isinstance(item, Group) else key(item)

    # -- groups and loops

    def _group(self, group: Group, scope: Scope) -> None:
        loops = group.overflow is not None or bool(group.each and self._element(group.each).repeats)
        inner = Scope(scope.prefixes, "", "", "", group, scope.raws)
        if group.required and not (loops or group.limit):
            self._run.expressions.append(self._trigger_of(group))
            self._counted_on(group)
            self._items(group.items, inner)
        elif _in_run(group) and not loops:
            self._group_in_run(group, inner)
        else:
            self._group_apart(group, scope, loops=loops)

    def _counted_on(self, group: Group) -> None:
        """Count a trigger: while it is known how many there were, only here."""
        if group.trigger in self._known:
            self._known[group.trigger] += 1
        elif group.trigger in self._counted:
            self._run.takers.append(lambda: self._out.add(f"n_{group.trigger} += 1"))

    def _counted_from(self, group: Group) -> int | None:
        """From now on it is not known how many triggers there were; their number, if it was until now."""
        number = self._known.pop(group.trigger, None)
        if number is not None:
            self._run.takers.append(lambda: self._out.add(f"n_{group.trigger} = {number}"))
        return number

    def _group_in_run(self, group: Group, inner: Scope) -> None:
        """Add a group that may be absent, and has neither loops nor lines, to the run."""
        run, mark = self._run, self._new("m")
        number = self._counted_from(group)
        expressions, takers = run.expressions, run.takers
        run.expressions, run.takers = [], []
        run.variables.append(mark)
        self._counted_on(group)
        if number is not None:  # in the group it is still known
            self._known[group.trigger] = number + 1
        self._items(group.items, inner)
        self._known.pop(group.trigger, None)
        begins = f"{self._trigger_of(group)}(?:{'|'.join(map(self._key, beginnings(group.items)))})"
        ahead = f"(?={begins})" if self._twin(group) else ""
        trigger = re.escape(f"{group.trigger}+{group.number}")
        absent = begins if ahead else f"{trigger}[+:']"
        expressions.append(f"(?:{ahead}({trigger}){self._end}{''.join(run.expressions)}|(?!{absent}))")
        run.expressions, run.takers, inside = expressions, takers, run.takers

        def take() -> None:
            with self._out.block(f"if {mark}:"):
                for taker in inside:
                    taker()
                if group.each:
                    self._closed(group, group.each, "", inner)

        run.takers.append(take)

    def _group_apart(self, group: Group, scope: Scope, *, loops: bool) -> None:
        """Print a group that occurs in a loop, or that has one or lines within and may be absent."""
        out, trigger = self._out, self._written(group)
        self._counted_from(group)
        self._flush()
        here = _at([group]) if trigger not in self._passed else f"K[:{len(trigger)}] == {trigger!r}"
        if self._twin(group):
            here = _at(beginnings(group.items), trigger)
        loop, start = self._new("g"), self._new("s")
        inner = Scope(scope.prefixes, loop, loop, trigger if group.overflow else "", group, scope.raws)
        if group.overflow and any(
            template.first or (piece.counter and around[-1:] == (group,)) or piece.counter == group.trigger
            for template, around in templates((group,))
            for piece in template.pieces()
        ):
            out.add(_GIVE_UP)  # nobody needs to know how many triggers were passed
        repeats = bool(group.each) and self._element(group.each).repeats
        prefix, number = self._open(group.each) if repeats else ("", "")
        out.add(f"{loop} = 0")
        out.add(f"{start} = p")
        with out.block(f"{'while' if loops else 'if'} {here}:"):
            if group.limit:
                out.add(f"{start} = p")
            self._run.expressions.append(self._trigger_of(group))
            self._counted_on(group)
            if repeats:
                self._prefix(group.each, prefix, number, scope)
                inner.prefixes = ((group.each, prefix), *scope.prefixes)
            self._items(group.items, inner)
            rests = [name for name in self._run.variables if name.endswith("_rest")]
            self._flush()
            if group.limit:
                self._limited(group, start, rests)
            if group.each:
                self._closed(group, group.each, number, inner)
            out.add(f"{loop} += 1")
        if group.required:
            self._give_up(f"{loop} == 0")
        if group.overflow:
            tag, *limits = group.overflow
            after = [f"{self._end}{group.trigger}+{group.number}", f"{self._end}{tag}+", *limits]
            content = f"T[{start} - {len(self._end)}:p]"
            self._give_up(f"p != {start} and overflowing({content}, {', '.join(map(repr, after))})")
        if repeats:
            self._counts(group.each, number, scope)

    def _limited(self, group: Group, start: str, rests: list[str]) -> None:
        """Print how the segments of a group are counted: where it has no loops, only if a text has more than one."""
        assert group.limit is not None
        tag, limit = group.limit
        few = all(map(_simple, group.items)) and len(group.items) <= limit
        if rests or not few:
            several = f"({' or '.join(rests)}) and " if few else ""
            self._give_up(f"{several}T.count({f'{self._end}{tag}+'!r}, {start}, p) > {limit}")

    def _step_over(self, scope: Scope, ahead: Iterable[SegmentTemplate | Group]) -> None:
        """Where a run of content spreads over several groups, take a trigger that stands before its next segment."""
        if scope.trigger:
            with self._out.block(f"if {_at(ahead, scope.trigger)}:"):
                self._out.add(f"p += {len(scope.trigger)}")
                self._out.add(f"K = K[{len(scope.trigger)}:]")

    def _repeat(self, repeat: Repeat, scope: Scope) -> None:
        if any(template.kind == "object" for template, _ in templates((repeat,))):
            return  # what nothing takes is left over
        out, loop, repeats = self._out, self._new("g"), self._element(repeat.path).repeats
        self._flush()
        out.add(f"# each {repeat.path}")
        out.add(f"{loop} = 0")
        prefix, number = self._open(repeat.path) if repeats else ("", "")
        inner = replace(scope, loop=loop)
        if repeats:
            inner.prefixes = ((repeat.path, prefix), *scope.prefixes)
        begins = list(beginnings((repeat,)))
        here = _at(begins, "", scope.trigger) if scope.trigger else _at(begins)
        with out.block(f"{'while' if repeats else 'if'} {here}:"):
            self._step_over(scope, begins)
            if repeats:
                self._prefix(repeat.path, prefix, number, scope)
            begin = self._new("b")
            out.add(f"{begin} = p")
            self._choices(repeat, inner)
            self._items(repeat.items, inner)
            self._flush()
            self._give_up(f"p == {begin}")
            self._closed(repeat, repeat.path, number, inner)
            out.add(f"{loop} += 1")
        if repeats:
            self._counts(repeat.path, number, scope)

    def _choices(self, repeat: Repeat, scope: Scope) -> None:
        word = "if"
        for choice in repeat.choices:
            with self._out.block(f"{word} {_at([choice])}:"):
                if choice.kind == "lines":
                    self._take_lines(choice, scope)
                else:
                    self._segment(replace(choice, required=True), scope)
                    self._flush()
            word = "elif"


def _at(items: Iterable[SegmentTemplate | Group], *triggers: str) -> str:
    """A condition: the next segment can be the first of one of these, or is one of these triggers and stands before it.

    A trigger is given as it is written, with its end; the empty one is none.
    """
    keys: set[str] = set()
    conditions = []
    for item, trigger in product(items, triggers or ("",)):
        if isinstance(item, Group):
            keys.add(f"{trigger}{item.trigger}+{item.number}")
        elif item.starts is not None:
            keys.update(f"{trigger}{item.tag}+{value}" for value in item.starts)
        else:
            start = f"{trigger}{item.tag}+"
            conditions.append(f"K[:{len(start)}] == {start!r}")
    if keys:
        found = sorted(keys)
        one = f"K == {found[0]!r}" if len(found) == 1 else f"K in {{{', '.join(map(repr, found))}}}"
        conditions.append(one)
    return " or ".join(conditions)


def _in_run(group: Group) -> bool:
    """Whether a group that does not occur in a loop can be a part of an expression."""
    return group.limit is None and group.overflow is None and all(map(_simple, group.items))


def _simple(item: Item) -> bool:
    """Whether it can be a part of an expression."""
    if not isinstance(item, SegmentTemplate):
        return False
    return item.kind == "plain" or (item.kind == "text" and item.starts is not None)


def _told(template: SegmentTemplate, scope: Scope) -> bool:
    """Whether one that may be absent is taken otherwise than by those of its fields that say something."""
    if template.unless or (template.first and scope.groups):
        return True
    return any(
        piece.counter
        or (piece.echo and not constant(component))
        or piece.default is not None
        or (piece.codes is not None and (piece.codes.empty is not None or any(map(constant, slot.components))))
        or (piece.own and len(component) > 1)
        for slot in template.slots
        for component in slot.components
        for piece in component
    )

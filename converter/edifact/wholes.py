r"""Compiles a layout to the Python source of its quick reader, for a letter about which there is nothing to say.

It expects every segment where the layout has it, plainly as its template says. Of the whole letter it makes one regular
expression, and gives the leaves their values from its groups:

    if (m := MATCH1(T)) is None:
        return False
    c1_1_1, c2_2_1, r3, = m.groups('')

A loop is one group (`r3`), which a second expression takes to pieces: all that its rounds hold, in one call:

    for c4_1_1, c4_2_1, in ROUNDS2(r3):

An item that may be absent is `(?:ITEM|(?!KEY))`, so that one that is there is taken or the letter given up: what is
read is what `readers.py` reads. Giving up is always right: those read the letter then, and report what there is. Places
are theirs too, when somebody asks for one.

In the source `T` is the letter (see `atonce.py`), `V` and `N` take values and counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from converter.definitions import Definition
from converter.definitions.layout import Group, Repeat, SegmentTemplate, templates
from converter.edifact.atonce import Occurrences, more_lines, overflowing, plain_text
from converter.edifact.controls import iso_date, iso_time
from converter.edifact.expressions import (
    ANY,
    BODY,
    FORM,
    MARK,
    beginnings,
    constant,
    key,
    lead,
    segment,
    segment_of_lines,
)
from converter.edifact.fields import Scope, SegmentCompiler
from converter.edifact.readers import ReaderCompiler
from converter.edifact.source import Module

AT_ONCE = "read_at_once"
END = "'"
"""The end of a segment."""
_GIVE_UP = "return False"


@dataclass(slots=True)
class _Scope(Scope):
    """As `Scope`; a variable of a loop gives the ids of the leaves below an occurrence (`atonce.Below`)."""

    def key(self, path: str) -> str:
        """An expression for a leaf id."""
        variable, rest = self.split(path)
        return f"{variable}[{rest!r}]" if variable else repr(rest)


@dataclass(slots=True)
class _Run:
    """Items with one expression: its parts, its groups' variables, and what prints how they are taken."""

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
        self._run = _Run()

    def source(self, name: str = AT_ONCE) -> Module:
        """The module with `read_at_once`."""
        out = self._out = Module()
        self._variables, self._run = 0, _Run()
        self._segments = SegmentCompiler(out, quick=True)
        self._service: dict[str, str] = {}  # variables of what is asked about in UNB and UNH
        out.objects.update(iso_date=iso_date, iso_time=iso_time, plain_text=plain_text, more_lines=more_lines)
        out.objects.update(overflowing=overflowing, END=END)
        with out.block(f"def {name}(T, V, N):"):
            out.add(f'"""{self._definition.type} {self._definition.version}."""')
            self._known = dict.fromkeys(self._counted, 0)
            scope = _Scope()
            self._remembered(scope)
            self._items(self._definition.layout, scope)
            run = self._run
            self._give_up(f"(m := {out.name('MATCH', re.compile(''.join(run.expressions)).match)}(T)) is None")
            out.add(f"{', '.join(run.variables)}, = m.groups('')")
            for taker in run.takers:
                taker()
            self._trailers()
            self._constants(self._definition.tree, scope)
            out.add("return True")
        return out

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
            self._give_up(f'T[m.end():] != f"UNT+{{T.count(END) - 2}}+{{{unh}}}{last}UNZ+1+{{{unb}}}\'"')

    # -- segments

    def _segment(self, template: SegmentTemplate, scope: Scope) -> None:
        if template.kind == "object" or (template.kind == "text" and template.starts is None):
            self._run.takers.append(lambda: self._out.add(_GIVE_UP))
        elif template.kind == "lines":
            self._lines((template,), scope, lambda found, lines: self._take_line(template, found, lines, scope))
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
        passing = self._passing(scope)
        if template.kind == "text":
            expression += self._more(template, name, names, scope)
            run.takers.append(lambda: self._take_text(template, name, names, scope))
        else:
            run.takers.append(lambda: self._take(template, name, names, scope))
        one = f"{passing}{expression}"
        run.expressions.append(one if always else f"(?:{one}|(?!{passing}{key(template)}))")

    def _more(self, template: SegmentTemplate, name: str, names: list[str], scope: Scope) -> str:
        """The expression of the segments with which a text goes on: those with the same component 1 of element 1."""
        run = self._run
        same = rf"{template.tag}\+\{run.variables.index(name + '1_1') + 1}[+:']" if "1_1" in names else key(template)
        run.variables.append(f"{name}rest")
        return self._alike(same, scope)

    def _alike(self, start: str, scope: Scope) -> str:
        """A group for the segments from here on that start so, each perhaps with a trigger before it."""
        passed = f"|{re.escape(scope.trigger)}{start}" if scope.trigger else ""
        return f"((?:(?={start}{passed}){ANY}{self._end})*+)"

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

    def _take_text(self, template: SegmentTemplate, name: str, names: list[str], scope: Scope) -> None:
        """Print how a text gets its value."""
        out = self._out
        others = [(e, c, p) for e, c, p in template.places() if p.own and not p.text]
        piece = next(p for p in template.pieces() if p.text)
        form, body, rest = f"{name}{FORM}", f"{name}{BODY}", f"{name}rest"
        start, between = lead(template)
        begins = f"f'{template.tag}+{{{name}1_1}}+'" if "1_1" in names else repr(start)
        out.add(f"# {template.source}")
        with nullcontext() if template.required else out.block(f"if {form}:"):
            self._segments.taken(template, others, scope, name)
            where = f"{begins}, {between!r}, {self._end!r}, {scope.trigger!r}"
            self._give_up(f"(v := plain_text({form}, {body}, {rest}, {where})) is None")
            out.add(f"V[{scope.key(piece.path)}] = v")
            self._segments.text_taken(template, piece, scope)
        if template.unless:
            with out.block(f"elif {scope.key(template.unless)} not in V:"):
                out.add(_GIVE_UP)

    # -- logical lines

    def _lines(
        self, templates: tuple[SegmentTemplate, ...], scope: Scope, take: Callable[[str, list[str]], None]
    ) -> None:
        """Add logical lines to the run, of templates that differ in what they start with and in the number of lines.

        They tell themselves over how many segments they go; hardly ever over more than one. `take` prints what follows,
        given the variable of a list and those of what is in it for each time that one of the templates stands there.
        """
        run, rest = self._run, self._new("r")
        run.expressions.append(self._alike(_keys(templates), scope))
        run.variables.append(rest)
        fields = {lead(template)[0]: len(template.slots[-1].components) for template in templates}
        most = max(fields.values())
        one = segment_of_lines(templates, self._end, most)
        find = re.compile(f"{self._passing(scope)}{one}|(.+)", re.DOTALL).findall
        lines = [self._new("l") for _ in range(most)]

        def taker() -> None:
            where = f"found, {self._out.name('FIELDS', fields)}, {self._end!r}, {scope.trigger!r}"
            with self._out.block(f"if {rest}:"):
                self._out.add(f"found = {self._out.name('LINES', find)}({rest})")
                self._give_up(f"found[-1][-1] and not more_lines({where})")
                take("found", lines)

        run.takers.append(taker)

    def _take_line(self, template: SegmentTemplate, found: str, lines: list[str], scope: Scope) -> None:
        """Print how lines are taken that stand there once."""
        self._out.add(f"# {template.source}")
        self._give_up(f"len({found}) != 1")
        self._out.add(f"K, {', '.join(lines)}, _ = {found}[0]")
        self._segments.lines_taken(template, scope, lines)

    def _choices(self, repeat: Repeat, found: str, lines: list[str], scope: Scope) -> None:
        """Print the loop over occurrences that are lines of several templates."""
        inner = self._inner(repeat.path, scope)
        with self._loop(repeat, repeat.path, f"K, {', '.join(lines)}, _ in {found}", inner):
            word = "if"
            for choice in repeat.choices:
                with self._out.block(f"{word} K in {tuple(sorted(choice.starts or ()))!r}:"):
                    self._out.add(f"# {choice.source}")
                    self._segments.lines_taken(choice, inner, lines)
                    if others := lines[len(choice.slots[-1].components) :]:
                        self._give_up(" or ".join(others))
                word = "elif"

    def _passing(self, scope: Scope) -> str:
        """The expression of a trigger that may stand between the segments of a group."""
        return f"(?:{re.escape(scope.trigger)}|)" if scope.trigger else ""

    # -- groups and loops

    def _written(self, group: Group) -> str:
        return f"{group.trigger}+{group.number}{self._end}"

    def _opening(self, item: Group | Repeat, scope: Scope) -> str:
        """The expression of what an occurrence starts with."""
        if isinstance(item, Repeat):
            return self._passing(scope) + _keys(beginnings(item.items))
        if self._twin(item):
            return re.escape(self._written(item)) + _keys(beginnings(item.items))
        return re.escape(f"{item.trigger}+{item.number}") + "[+:']"

    def _group(self, group: Group, scope: Scope) -> None:
        if group.each and self._element(group.each).repeats:
            inner = self._inner(group.each, scope)
            inner.loop = inner.groups = self._new("g")
            inner.trigger, inner.group = "", group
            self._rounds(group, group.each, scope, inner)
        else:
            self._once(group, scope)

    def _repeat(self, repeat: Repeat, scope: Scope) -> None:
        if repeat.choices:
            self._lines(repeat.choices, scope, lambda found, lines: self._choices(repeat, found, lines, scope))
        elif all(template.kind != "object" for template, _ in templates((repeat,))):
            self._rounds(repeat, repeat.path, scope, replace(self._inner(repeat.path, scope), loop=self._new("g")))
        # else what nothing takes is left over

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

    def _once(self, group: Group, scope: Scope) -> None:
        """Add a group that does not occur in a loop to the run."""
        run, whole, always = self._run, self._new("t"), group.required
        number = None if always else self._counted_from(group)
        limited, written, begins = (
            bool(group.limit or group.overflow),
            self._written(group),
            self._opening(group, scope),
        )
        if limited or not always:
            run.variables.append(whole)
        self._run = one = _Run(variables=run.variables)
        self._counted_on(group)
        if number is not None:  # in the group it is still known
            self._known[group.trigger] = number + 1
        inner = _Scope(scope.prefixes, "", "", written if group.overflow else "", group, scope.raws)
        self._items(group.items, inner)
        self._run = run
        if not always:
            self._known.pop(group.trigger, None)
        before = "" if always else f"(?:(?={begins})" if self._twin(group) else "(?:"
        after = (f"(?!{begins})" if group.overflow else "") + ("" if always else f"|(?!{begins}))")
        trigger = re.escape(written)
        if limited:
            run.expressions += [before, "(", trigger, *one.expressions, ")", after]
        else:
            run.expressions += [before, trigger if always else f"({trigger})", *one.expressions, after]

        def take() -> None:
            with nullcontext() if always else self._out.block(f"if {whole}:"):
                for taker in one.takers:
                    taker()
                self._limited(group, whole, one.variables)
                if group.each:
                    self._closed(group, group.each, "", inner)

        run.takers.append(take)

    def _inner(self, path: str, scope: Scope) -> Scope:
        """The scope in a loop over the occurrences of an element."""
        return replace(scope, prefixes=((path, self._new("p")), *scope.prefixes))

    def _rounds(self, item: Group | Repeat, path: str, scope: Scope, inner: Scope) -> None:
        """Add a loop to the run: all segments that start as its own do. Another expression looks at them closely."""
        run, rest, odd, whole, trigger = self._run, self._new("r"), self._new("o"), "", ""
        group = item if isinstance(item, Group) else None
        if group is not None:
            self._counted_from(group)
        self._run = one = _Run()
        if group is not None:
            self._counted_on(group)
            trigger, whole = re.escape(self._written(group)), self._new("t") if group.limit else ""
            one.variables += [whole] if whole else []
        self._items(item.items, inner)
        self._run = run
        begins, segments = self._opening(item, scope), _keys(template for template, _ in templates((item,)))
        segments = f"(?:(?={segments})[^{END}]*+{self._end})*+"
        before = f"(?={begins}){trigger}" if group is None or self._twin(group) else trigger
        found = f"{before}{''.join(one.expressions)}"
        find = re.compile(f"({found})|(.)" if whole else f"{found}|(.)", re.DOTALL).findall
        run.expressions.append(f"({f'(?:{before}{segments})*+' if trigger else segments})(?!{begins})")
        run.variables.append(rest)
        header = f"{', '.join([*one.variables, odd])} in {self._out.name('ROUNDS', find)}({rest})"

        def take() -> None:
            with self._out.block(f"if {rest}:"), self._loop(item, path, header, inner):
                self._give_up(odd)
                for taker in one.takers:
                    taker()
                if group is not None:
                    self._limited(group, whole, one.variables)

        run.takers.append(take)

    @contextmanager
    def _loop(self, item: Group | Repeat, path: str, header: str, inner: Scope) -> Iterator[None]:
        """Print a loop over the occurrences of an element, and what ends each of them, around what they hold."""
        out, number, before, (_, prefix) = self._out, self._new("k"), self._new("n"), inner.prefixes[0]
        around = replace(inner, prefixes=inner.prefixes[1:])
        outer, rest = around.split(path)
        pieces = [piece for template, _ in templates((item,)) for piece in template.pieces()]
        fills = [leaf for template, _ in templates((item,)) for leaf, _ in template.fills]
        alone = all(p.startswith(f"{path}.") for p in [*(p.path for p in pieces if p.own), *fills])
        counted = any(t.first for t, _ in templates((item,))) or any(p.counter == "each" for p in pieces)
        ids = f"{outer}[{rest + '['!r}]" if outer else out.name("IDS", Occurrences(path))
        out.add(f"# each {path}")
        out.add(f"{number} = 0")
        if counted:
            out.add(f"{inner.loop} = 0")
        with out.block(f"for {header}:"):
            out.add(f"{prefix} = {ids}[{number}]")
            if alone:
                out.add(f"{before} = len(V)")
            yield
            if alone:
                with out.block(f"if len(V) > {before}:"):
                    self._constants(self._element(path), inner)
                    out.add(f"{number} += 1")
            else:
                self._closed(item, path, number, inner)
            if counted:
                out.add(f"{inner.loop} += 1")
        self._counts(path, number, around)

    def _limited(self, group: Group, whole: str, variables: Iterable[str]) -> None:
        """Print how the segments of a group are counted: where it has no loops, only if a text has more than one."""
        if group.overflow:
            tag, segments, groups = group.overflow
            trigger = f"{group.trigger}+{group.number}"
            self._give_up(f"overflowing({whole}, {trigger!r}, {f'{tag}+'!r}, {segments}, {groups})")
        if group.limit:
            tag, limit = group.limit
            few = len(group.items) <= limit and all(isinstance(item, SegmentTemplate) for item in group.items)
            rests = [name for name in variables if name.endswith("_rest")]
            several = f"({' or '.join(rests) or False}) and " if few else ""
            self._give_up(f"{several}{whole}.count({f'{tag}+'!r}) > {limit}")


def _keys(items: Iterable[SegmentTemplate | Group]) -> str:
    """The expression of what some segments start with."""
    found = dict.fromkeys(key(item) for item in items if isinstance(item, SegmentTemplate))
    return f"(?:{'|'.join(found)})"


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

"""Slicing: which slice an item belongs to, how many a slice may have, and what may stay outside (FHIR R4, Slicing).

The value of a discriminator is often not on the slice itself: `Organization.identifier:SOR-ID` has only a profile, and
the system is fixed inside that profile; a D-eCPR is recognised by a required binding of its system.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import ABSENT, Node, Site, Type
from converter.fhir.rules.invariants import listed
from converter.fhir.rules.references import resolve
from converter.fhir.rules.values import holds
from converter.fhir.run import Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.profiles import Pack
    from converter.fhir.source import Source

SLICE_MISSING = declare(
    "PRO039",
    "slice-missing",
    Severity.ERROR,
    "the part {slice} of {element} is missing ({found} of at least {least}; recognised by {by})",
    why="The profile demands this kind of {element}, and receivers rely on it.",
    help="Add it, with the value by which it is recognised.",
    source="FHIR R4, Slicing",
    example="a receiving Organization with a location number but without a SOR id",
)
SLICE_TOO_MANY = declare(
    "PRO040",
    "slice-too-often",
    Severity.ERROR,
    "the part {slice} of {element} occurs {found} times, at most {most} allowed",
    why="Receivers take one of them or refuse the message.",
    help="Leave out what the profile does not allow.",
    source="FHIR R4, Slicing",
    example="two SOR ids on one Organization",
)
SLICE_CLOSED = declare(
    "PRO041",
    "slice-none-matches",
    Severity.ERROR,
    "this {element} is none of the kinds that the profile allows ({slices}; recognised by {by})",
    why="The slicing is closed: receivers do not expect any other.",
    help="Leave it out, or correct the value by which it is recognised.",
    source="FHIR R4, Slicing, rules closed",
    example='"role": "quotation" on a Provenance.entity where no slice of the profile has that role',
)
SLICE_ORDER = declare(
    "PRO064",
    "slice-out-of-order",
    Severity.ERROR,
    "this {element} must stand before the one that precedes it (order: {order})",
    why="The profile fixes the order of the kinds of {element}, and receivers may read them by their position.",
    help="Sort them as the profile lists its slices. Where only the end is open, what is none of them comes last.",
    source="FHIR R4, ElementDefinition.slicing.ordered and rules openAtEnd",
    example="[B, A] where the slicing is ordered A, B",
)

Test = Callable[[Any, Run], bool]
Path = Callable[[Any, Run], list[Any]]
_STEP = re.compile(r"\$this|[A-Za-z]+\('[^']*'\)|[A-Za-z]+\([A-Za-z]*\)|[A-Za-z]+")
_CODING = "({0}.get('system'), {0}.get('code'))"
_EXTENSION = re.compile(r"extension\('([^']*)'\)\Z")


@dataclass(slots=True)
class Matcher:
    """How items of one slicing find their slice: a table of the texts at one path where that is enough, else tests.

    `property` is that path if it is a plain property of the item; `names` are the properties by which an item is of a
    slice, where one of them decides for every slice. `sound` is `index` of items that are certainly sound, in printed
    code that raises any of `reading.FAULTS` for others, or gives a number that is no slice's.
    """

    property: str
    names: list[list[str]]
    table: dict[str, int]
    path: Path | None
    tests: list[tuple[Test, ...]]
    sound: Callable[[Any], int] | None

    def index(self, item: Any, run: Run) -> int:
        """The number of the slice of an item, -1 for none."""
        if self.path is not None:
            found = [self.table[v] for v in self.path(item, run) if isinstance(v, str) and v in self.table]
            return min(found) if found else -1
        for number, tests in enumerate(self.tests):
            for test in tests:
                if not test(item, run):
                    break
            else:
                return number
        return -1


def matcher_of(node: Node, pack: Pack) -> Matcher | None:
    """Compile the discriminators of a sliced element; None if one of them is beyond this validator."""
    slicing = node.slicing or {}
    rows = []
    for part in node.slices.values():
        tests = [_test(kind, path, part, pack) for kind, path in slicing["by"]]
        if not tests or None in tests:
            return None
        rows.append(tuple(t for t in tests if t is not None))
    table = _table(node, slicing["by"], pack)
    path = slicing["by"][0][1] if table else ""
    plain = path.isalpha() and all(_single(_child(part, path, pack)) for part in node.slices.values())
    names = [_names(slicing["by"], part, pack) for part in node.slices.values()]
    return Matcher(
        path if plain else "",
        names if all(names) else [],
        table or {},
        path_of(_steps(path)) if table else None,
        rows,
        _sound_index(node, table, pack),
    )


def _sound_index(node: Node, table: dict[str, int] | None, pack: Pack) -> Callable[[Any], int] | None:
    """Printed code that finds the slice by one value, if the elements that lead there are the same in every slice."""
    parts, by = list(node.slices.values()), (node.slicing or {})["by"]
    steps = _steps(by[0][1])
    found: dict[Any, int] = {}
    if table and all((below := _descend(part, steps, pack)) and _single(below) for part in parts):
        found, key = {**table}, f"w{len(steps) - 1}.get({steps.pop()!r})"
    elif not table and len(by) == 1 and by[0][0] in ("value", "pattern"):
        codes = [_only_coding(_wanted(part, steps, pack)) for part in parts]
        if None not in codes and len(set(codes)) == len(codes):
            steps.append("coding")
            found, key = {code: n for n, code in enumerate(codes)}, _CODING.format(f"w{len(steps)}")
    ways = {_printed(part, steps, key, pack) for part in parts} if found else {""}
    if len(ways) != 1 or "" in ways:
        return None
    names: dict[str, Any] = {"TABLE": found, "NONE": {}, "LAST": len(parts)}
    exec(compile(ways.pop(), f"<slices of {node.id}>", "exec"), names)  # noqa: S102 - our own text, made from a pack
    return names["index"]  # type: ignore[no-any-return]


def _only_coding(pattern: Any) -> tuple[str, str] | None:
    """System and code of a pattern that is nothing but one coding of a concept."""
    match pattern:
        case {"coding": [{"system": str(system), "code": str(code), **more}], **other} if not more and not other:
            return system, code
    return None


def _printed(part: Node, steps: list[str], key: str, pack: Pack) -> str:
    """A function that takes an item `w0` step by step to the key of a table; empty if a step is not plain."""
    lines, depth = ["def index(w0):", " k = LAST"], 1
    at: Node | None = part
    for number, step in enumerate(steps):
        at = _child(at, step, pack) if at is not None else None
        names = list(at.names()) if at is not None else []
        if at is None or (len(names) != 1 and not step.startswith("extension(")):
            return ""
        owner, value, indent = f"w{number}", f"w{number + 1}", " " * depth
        extension = _EXTENSION.match(step)
        if extension:
            lines.append(f"{indent}for {value} in {owner}.get('extension', ()):")
            lines.append(f"{indent} if {value}.get('url') == {extension[1]!r}:")
            depth += 2
        elif at.many:
            lines.append(f"{indent}for {value} in {owner}.get({names[0]!r}, ()):")
            depth += 1
        else:
            lines.append(f"{indent}{value} = {owner}.get({names[0]!r}, NONE)")
    indent = " " * depth
    lines += [f"{indent}n = TABLE.get({key}, LAST)", f"{indent}if n < k: k = n", " return k"]
    return "\n".join(lines) + "\n"


def _names(by: list[list[str]], part: Node, pack: Pack) -> list[str]:
    """The properties that alone tell by the type of a choice that an item is of a slice; empty if it takes more."""
    steps = _steps(by[0][1])
    below = _descend(part, steps, pack) if len(by) == 1 == len(steps) and by[0][0] == "type" else None
    return list(below.names()) if below is not None and below.choice else []


def _single(below: Node | None) -> bool:
    """Whether JSON holds an element as one value under its own name: it is no choice and does not repeat."""
    return below is None or not (below.choice or below.many)


def _table(node: Node, by: list[list[str]], pack: Pack) -> dict[str, int] | None:
    """value -> slice, where the texts at one path decide for all slices."""
    if len(by) != 1 or by[0][0] not in ("value", "pattern"):
        return None
    table: dict[str, int] = {}
    for number, part in enumerate(node.slices.values()):
        wanted = _wanted(part, _steps(by[0][1]), pack)
        texts = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, frozenset) else None
        if texts is None or any(t in table for t in texts):
            return None
        table.update(dict.fromkeys(texts, number))
    return table


def _steps(path: str) -> list[str]:
    return [s for s in _STEP.findall(path) if s != "$this"]


def _test(kind: str, path: str, part: Node, pack: Pack) -> Test | None:
    if ".".join(_STEP.findall(path)) != path:
        return None
    steps = _steps(path)
    if kind in ("value", "pattern"):
        return _value_test(steps, _wanted(part, steps, pack))
    if kind == "exists":
        below = _descend(part, steps, pack)
        return None if below is None else _exists_test(steps, below.min > 0)
    if kind == "type":
        return _type_test(steps, part, pack)
    if kind == "profile":
        return _profile_test(steps, part, pack)
    return None


def _value_test(steps: list[str], wanted: Any) -> Test | None:
    if wanted is ABSENT:
        return None
    path = path_of(steps)
    if isinstance(wanted, frozenset):
        return lambda item, run: any(isinstance(v, str) and v in wanted for v in path(item, run))
    return lambda item, run: any(holds(v, wanted) for v in path(item, run))


def _exists_test(steps: list[str], wanted: bool) -> Test:
    path = path_of(steps)
    return lambda item, run: bool(path(item, run)) == wanted


def _type_test(steps: list[str], part: Node, pack: Pack) -> Test | None:
    if steps and steps[-1] != "resolve()":
        below = _descend(part, steps, pack)
        if below is not None and below.choice:
            return _name_test(steps[:-1], frozenset(below.names()))
    types = _resource_types(
        part.types if not steps else _types_at(part, [s for s in steps if s != "resolve()"], pack), pack
    )
    if not types:
        return None
    path = path_of(steps)
    names = sorted(types)  # a list: what a message says may be unhashable
    return lambda item, run: any(isinstance(v, dict) and v.get("resourceType") in names for v in path(item, run))


def _name_test(owner: list[str], names: frozenset[str]) -> Test:
    """The type of a choice shows in the property's name."""
    if not owner:
        return lambda item, run: isinstance(item, dict) and not names.isdisjoint(item)
    path = path_of(owner)
    return lambda item, run: any(isinstance(v, dict) and not names.isdisjoint(v) for v in path(item, run))


def _types_at(part: Node, steps: list[str], pack: Pack) -> tuple[Type, ...]:
    below = _descend(part, steps, pack)
    return below.types if below else ()


def _resource_types(types: tuple[Type, ...], pack: Pack) -> set[str]:
    found = set()
    for kind in types:
        for canonical in kind.targets or ():
            facts = pack.facts(canonical)
            found.add(facts["type"] if facts else canonical.partition("|")[0].rpartition("/")[2])
        if kind.code != "Reference":
            found.add(kind.code)
    return found


def _profile_test(steps: list[str], part: Node, pack: Pack) -> Test | None:
    """Only for resources of the Bundle: the profile that the slice names must be met."""
    below = _descend(part, [s for s in steps if s != "resolve()"], pack)
    wanted = [p for t in (below.types if below else ()) for p in (*t.profiles, *(t.targets or ())) if pack.facts(p)]
    if not wanted or (steps and steps[-1] != "resolve()"):
        return None
    keys = [pack.key(p) for p in wanted]
    path = path_of(steps)

    def test(item: Any, run: Run) -> bool:
        for value in path(item, run):
            entry = run.by_resource.get(id(value))
            if entry is not None and any(run.conforms(entry, k) for k in keys):
                return True
        return False

    return test


def path_of(steps: list[str]) -> Path:
    """A function that gives the values to which a discriminator path leads from a value."""
    takes = [_step(step) for step in steps]

    def walk(value: Any, run: Run) -> list[Any]:
        values = [value]
        for take in takes:
            if len(values) == 1:
                values = take(values[0], run)
            elif values:
                values = [v for item in values for v in take(item, run)]
        return values

    return walk


def _step(step: str) -> Path:
    if step == "resolve()":
        return _resolved
    extension = _EXTENSION.match(step)
    if extension:
        url = extension[1]
        return lambda value, run: [
            e for e in listed(_property(value, "extension")) if isinstance(e, dict) and e.get("url") == url
        ]

    def take(value: Any, run: Run) -> list[Any]:
        if not isinstance(value, dict):
            return []
        if step in value:
            return value[step] if isinstance(value[step], list) else [value[step]]
        return [v for k, v in value.items() if k.startswith(step) and k[len(step) : len(step) + 1].isupper()]

    return take


def _property(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _resolved(value: Any, run: Run) -> list[Any]:
    entry = resolve(run, value.get("reference") if isinstance(value, dict) else value)
    return [entry.resource] if entry else []


def _descend(node: Node, steps: list[str], pack: Pack) -> Node | None:
    """The element that a path means, seen from a slice: in the slice, or in the profile of its type."""
    for step in steps:
        below = _child(node, step, pack)
        if below is None:
            return None
        node = below
    return node


def _child(node: Node, step: str, pack: Pack) -> Node | None:
    extension = _EXTENSION.match(step)
    if extension:
        holder = node.children.get("extension")
        for part in holder.slices.values() if holder else ():
            url = _wanted(part, ["url"], pack)
            if url == extension[1]:
                return part
        return None
    for name in (step, step + "[x]"):
        if name in node.children:
            below = node.children[name]
            # A slice of extensions that is alone is what the path means by `extension`.
            alone = list(below.slices.values()) if step == "extension" else []
            return alone[0] if len(alone) == 1 else below
    # Nothing in the slice itself: look into the profile of its type, else the type.
    for kind in node.types:
        for canonical in (*kind.profiles, pack.base(kind.code)):
            root = pack.tree(canonical)
            if root is not None and root is not node:
                found = root.children.get(step) or root.children.get(step + "[x]")
                if found is not None:
                    return found
    return None


def _wanted(node: Node, steps: list[str], pack: Pack) -> Any:
    """What the discriminator must equal: a value, or the codes of a required binding; ABSENT if nothing is said."""
    inherited: Any = ABSENT
    part = node
    for step in [*steps, ""]:
        if node.fixed is not ABSENT or node.pattern is not ABSENT:
            inherited = node.fixed if node.fixed is not ABSENT else node.pattern
        if not step:
            break
        inherited = inherited.get(step, ABSENT) if isinstance(inherited, dict) else ABSENT
        profiled = _profile_value(node, step, pack)
        below = _child(node, step, pack)
        if below is None:
            return _canonical(part) if inherited is ABSENT and steps == ["url"] else inherited
        node = below
        if inherited is ABSENT:
            inherited = profiled
    if inherited is ABSENT and steps == ["url"]:
        return _canonical(part)
    if inherited is ABSENT and node.binding:
        return pack.codes(node.binding).flat or ABSENT
    return _composed(node) if inherited is ABSENT else inherited


def _canonical(part: Node) -> Any:
    """An extension's url is the canonical URL of its definition, also of one that the packages do not hold."""
    profiles = [p for t in part.types if t.code == "Extension" for p in t.profiles]
    return profiles[0].partition("|")[0] if len(profiles) == 1 else ABSENT


def _composed(node: Node) -> Any:
    """A value that a profile fixes property by property (`value[x].system`, `value[x].code`), as one pattern."""
    parts = {n: c.fixed if c.fixed is not ABSENT else c.pattern for n, c in node.children.items()}
    parts = {n: v for n, v in parts.items() if v is not ABSENT}
    return parts or ABSENT


def _profile_value(node: Node, step: str, pack: Pack) -> Any:
    """A value fixed at `step` by the profile of a slice's type although the slice has children of its own."""
    for canonical in (p for t in node.types for p in t.profiles):
        root = pack.tree(canonical)
        below = root.children.get(step) if root else None
        if below is not None:
            if below.fixed is not ABSENT or below.pattern is not ABSENT:
                return below.fixed if below.fixed is not ABSENT else below.pattern
            if below.binding:
                return pack.codes(below.binding).flat or ABSENT
    return ABSENT


def in_order(node: Node) -> bool:
    """Whether the order of the items is fixed, or items of no slice must come last."""
    slicing = node.slicing or {}
    return bool(slicing.get("ordered")) or slicing.get("rules") == "openAtEnd"


def emit_order(source: Source, node: Node, site: Site) -> None:
    """Code for item `v` of slice `k`: not behind an item of a later slice. `o` is the latest slice so far."""
    slicing = node.slicing or {}
    order = ", ".join(_slice_name(s) for s in node.slices.values() if s.max != 0)
    with source.block("if 0 <= k < o:"):
        source(f"x.add(SLICE_ORDER, q, {source.constant(site, 'S')}, element={node.name!r}, order={order!r})")
    if slicing.get("ordered"):
        source("o = max(o, k)")
    if slicing["rules"] == "openAtEnd":
        source(f"o = {len(node.slices)} if k < 0 else o")


def emit_slice_counts(source: Source, node: Node, counters: list[str], site_of: Callable[[Node], Site]) -> None:
    """Code after the loop: every slice's number against its min and max."""
    by = ", ".join(path for _, path in (node.slicing or {}).get("by", []))
    for counter, part in zip(counters, node.slices.values(), strict=True):
        here = source.constant(site_of(part), "S")
        facts = f"slice={_slice_name(part)!r}, element={node.name!r}, found={counter}"
        if part.min:
            with source.block(f"if {counter} < {part.min}:"):
                source(f"x.add(SLICE_MISSING, p, {here}, {facts}, least={part.min}, by={by!r})")
        if part.max is not None and (node.max is None or part.max < node.max):
            with source.block(f"if {counter} > {part.max}:"):
                source(f"x.add(SLICE_TOO_MANY, p, {here}, {facts}, most={part.max})")


def emit_slices_absent(source: Source, node: Node, site_of: Callable[[Node], Site]) -> None:
    """Code for an absent sliced element: every slice that must be there is missing."""
    by = ", ".join(path for _, path in (node.slicing or {}).get("by", []))
    for part in node.slices.values():
        if part.min:
            here = source.constant(site_of(part), "S")
            facts = f"slice={_slice_name(part)!r}, element={node.name!r}, found=0, least={part.min}, by={by!r}"
            source(f"x.add(SLICE_MISSING, p, {here}, {facts})")


def emit_closed(source: Source, node: Node, site: Site, pointer: str) -> None:
    """Code for an item that belongs to no slice of a closed slicing."""
    here = source.constant(site, "S")
    by = ", ".join(path for _, path in (node.slicing or {}).get("by", []))
    names = ", ".join(_slice_name(s) for s in node.slices.values() if s.max != 0)
    source(f"x.add(SLICE_CLOSED, {pointer}, {here}, element={node.name!r}, slices={names!r}, by={by!r})")


def _slice_name(part: Node) -> str:
    return part.id.rpartition(":")[2]

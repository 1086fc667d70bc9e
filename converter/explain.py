"""Where every value of a converted message came from, and why a value of its source has no home in the target.

The way there has a ledger entry for each source value. What stands in the target besides is found by asking the way
back, whose ledger names a rule for every value of the Bundle that was just made: a mapping rule is a lens.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.fhir import bundle as fhir
from converter.issues import IssueLog, Location, catalog
from converter.ledger import Entry, Ledger
from converter.letter import Letter, pattern, plain
from converter.mapping import Context, Mapping
from converter.mapping.guards import compile_guard
from converter.pages import digest, templates
from converter.places import leaf_locator
from converter.renderings import neutral
from converter.renderings import page as kind_page
from converter.yamlfile import load

if TYPE_CHECKING:
    from converter.definitions import Definitions
    from converter.engine import Engine, Outcome
    from converter.fhir.profiles import Pack, Profile
    from converter.sources import Input

HIDDEN = "•••"
NAMES = "names.yaml"
"""The file among the mapping files that says what letter types are called."""
_HOMELESS = {
    "ignored": "left out",
    "lost": "lost",
    "kept": "kept in the sidecar",
    "constant-checked": "not carried: a constant, or rebuilt from other values",
    "folded-to-text": "folded into a text",
}
_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value on one of the two sides: its leaf id or JSON pointer, its characters, where it stands in the input."""

    key: str
    text: str
    at: Location | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a target value came from: the source leaves, the rule and its place, and in words what kind of value."""

    sources: tuple[str, ...]
    rule: str = ""
    place: str = ""
    kind: str = ""
    loss: str = ""


@dataclass(slots=True)
class Explanation:
    """One message: both sides, the origin of each target value, the fate of the source values without a home."""

    name: str
    title: str
    message: str
    source: list[Leaf] = field(default_factory=list)
    target: list[Leaf] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)
    fates: dict[str, Entry] = field(default_factory=dict)
    losses: dict[str, str] = field(default_factory=dict)
    source_bundle: dict[str, Any] | None = None
    target_bundle: dict[str, Any] | None = None

    def homeless(self) -> Iterator[tuple[Leaf, Entry]]:
        """The source values that stand nowhere in the target, with their ledger entries."""
        carried = {source for origin in self.origins.values() for source in origin.sources}
        for leaf in self.source:
            entry = self.fates.get(leaf.key)
            if entry is not None and leaf.key not in carried:
                yield leaf, entry


def explanation(item: Input, outcome: Outcome, engine: Engine) -> Explanation:
    """Explain one outcome of `Engine.convert`."""
    built = "" if outcome.output is not None else " (not built)"
    versions = f"{outcome.type} {outcome.version}".strip() or "a message"
    title = f"{versions}, {outcome.syntax} -> {outcome.target or 'nothing'}{built}"
    found = Explanation(item.display, title, outcome.message)
    ledger = outcome.ledger or Ledger()
    found.fates = {entry.leaf: entry for entry in ledger.entries}
    found.losses = {id_: loss.what for id_, loss in engine.mappings.losses.items()} if ledger.losses() else {}
    locate = leaf_locator(item.data, item.display, item.line, outcome)
    from_fhir = outcome.syntax == "fhir"
    found.source = _bundle_leaves(outcome, locate) if from_fhir else _letter_leaves(outcome.letter, locate)
    if outcome.letter is not None and outcome.letter.refused:
        found.source = _segment_leaves(item, outcome)
    found.source_bundle = outcome.bundle if from_fhir else None
    if outcome.output is not None:
        if outcome.target == "fhir":
            found.target, found.target_bundle = _bundle_leaves(outcome, None), outcome.bundle
        else:
            found.target = _letter_leaves(outcome.letter, None)
        found.origins = _origins(found, outcome, ledger, engine)
    return found


def _letter_leaves(letter: Letter | None, locate: Callable[[str], Location] | None) -> list[Leaf]:
    if letter is None:
        return []
    leaves = [Leaf(key, plain(value), locate(key) if locate else None) for key, value in letter.values.items()]
    return leaves + [Leaf(extra.path, extra.value, extra.at) for extra in letter.extras if locate]


def _bundle_leaves(outcome: Outcome, locate: Callable[[str], Location] | None) -> list[Leaf]:
    found = fhir.leaves(outcome.bundle or {})
    return [Leaf(pointer, str(value), locate(pointer) if locate else None) for pointer, value, _ in found]


def _segment_leaves(item: Input, outcome: Outcome) -> list[Leaf]:
    """The components of an EDIFACT message that no letter definition reads, in their order; none in OIOXML."""
    from converter.edifact.envelope import read_messages

    if outcome.syntax != "edifact":
        return []
    number = int(outcome.message.rpartition("#")[2])
    messages = read_messages(item.data, IssueLog(), file=item.display)
    return [
        Leaf(f"{segment.tag} {element}.{component}", value, segment.locate(element, component))
        for message in islice(messages, number - 1, number)
        for segment in message.segments
        for element, components in enumerate(segment.elements, 1)
        for component, value in enumerate(components, 1)
        if value
    ]


# Origins


def _origins(found: Explanation, outcome: Outcome, ledger: Ledger, engine: Engine) -> dict[str, Origin]:
    mapping = _mapping(outcome, engine)
    rules = _rules(mapping) if mapping else {}
    direct = _direct(ledger, rules, mapping.name if mapping else "")
    fallback: dict[str, Origin] = {}
    if mapping and outcome.target == "fhir":
        fallback = _asked_back(outcome, mapping, rules)
    elif mapping:
        fallback = _asked_forth(outcome, mapping, rules) | _siblings(found, direct, rules, mapping.name)
    known = {leaf.key for leaf in found.source}
    origins = {}
    for leaf in found.target:
        origin = direct.get(leaf.key) or _above(leaf.key, direct) or fallback.get(leaf.key)
        if origin is None:
            origin = Origin((), kind=_by_nature(leaf.key) if outcome.target == "fhir" else "set by the mapping")
        origins[leaf.key] = _with_indices(origin, known)
    return origins


def _mapping(outcome: Outcome, engine: Engine) -> Mapping | None:
    if outcome.bundle is None or outcome.letter is None:
        return None
    return engine.mappings.for_letter(outcome.letter.type)


def _direct(ledger: Ledger, rules: dict[str, Any], name: str) -> dict[str, Origin]:
    """Origins from the entries of the way there, by target."""
    sources: dict[str, list[Entry]] = {}
    for entry in (*ledger.entries, *ledger.defaulted):
        if entry.target:
            sources.setdefault(entry.target, []).append(entry)
    origins = {}
    for target, entries in sources.items():
        rule = entries[0].rule
        kind = "default of the rule" if not entries[0].leaf else str(entries[0].disposition)
        leaves = tuple(e.leaf for e in entries if e.leaf)
        loss = next((e.loss for e in entries if e.loss), "")
        origins[target] = Origin(leaves, _full(name, rule), _place(rules.get(rule)), kind, loss)
    return origins


def _full(name: str, rule: str) -> str:
    return f"{name}.{rule}" if name and rule else rule


def _place(rule: Any) -> str:
    return f"{rule.at.file}:{rule.at.line}" if rule is not None and rule.at.file else ""


def _above(pointer: str, direct: dict[str, Origin]) -> Origin | None:
    """The origin of the object that a value stands in: code and system of one code come from one rule."""
    above = pointer.rpartition("/")[0]
    return direct.get(above) if above.count("/") > 3 else None


def _by_nature(pointer: str) -> str:
    """What a value is that no rule names, from its place."""
    if "/meta/" in pointer:
        return "the profile that the mapping names"
    if "/resource/text/" in pointer or pointer.startswith("/text/"):
        return "narrative, made from the values of the resource"
    kinds = {
        "id": "id made from the ids of the letter",
        "fullUrl": "address made from the id of the resource",
        "reference": "reference to another resource of the Bundle",
    }
    return kinds.get(pointer.rpartition("/")[2], "constant of the mapping")


def _asked_back(outcome: Outcome, mapping: Mapping, rules: dict[str, Any]) -> dict[str, Origin]:
    """Origins by asking the way back what each value of the Bundle is."""
    bundle = outcome.bundle or {}
    leaves = fhir.leaves(bundle)
    _, ledger = mapping.from_fhir(bundle, Context(), IssueLog(), lambda: iter(leaves))
    origins = {}
    for entry in ledger.entries:
        name = entry.rule if entry.target else _in_force(entry.rule, rules, outcome.letter)
        rule = rules.get(name)
        if rule is None and not entry.target:
            continue
        sources = (entry.target,) if entry.target else tuple(getattr(rule, "sources", ()))
        origins[entry.leaf] = Origin(sources, _full(mapping.name, name), _place(rule), _kind(rule, sources))
    return origins


def _siblings(found: Explanation, direct: dict[str, Origin], rules: dict[str, Any], name: str) -> dict[str, Origin]:
    """Origins of letter leaves that a rule wrote together with another: date and time, the columns of a code map.

    The ledger has one target for each value of the Bundle, which is the first of the leaves.
    """
    by_path: dict[tuple[str, str], list[str]] = {}
    for leaf in found.target:
        by_path.setdefault((pattern(leaf.key), _group(leaf.key)), []).append(leaf.key)
    origins: dict[str, Origin] = {}
    for target, origin in direct.items():
        rule = rules.get(origin.rule.removeprefix(f"{name}."))
        columns = getattr(rule, "letter_columns", {})
        for path in (*getattr(rule, "sources", ()), *columns.values()):
            for leaf in (*by_path.get((path, _group(target)), ()), *by_path.get((path, ""), ())):
                origins.setdefault(leaf, origin)
    return origins


def _group(leaf: str) -> str:
    """The repeating group that a leaf stands in, with its number: `Reference[2]`."""
    return leaf[: leaf.rindex("]") + 1] if "]" in leaf else ""


def _asked_forth(outcome: Outcome, mapping: Mapping, rules: dict[str, Any]) -> dict[str, Origin]:
    """Origins by asking the way there which rule carries each leaf of the letter that was made."""
    letter, bundle = outcome.letter, outcome.bundle or {}
    if letter is None:
        return {}
    _, ledger = mapping.to_fhir(letter, Context(), IssueLog())
    identifier = bundle.get("identifier")
    born = isinstance(identifier, dict) and identifier.get("system") == mapping.document.origin_system
    origins = {}
    for entry in ledger.entries:
        if entry.leaf in mapping.document.origin and born:
            kind = "restored from Bundle.identifier"
            origins[entry.leaf] = Origin(("/identifier/value",), _full(mapping.name, "origin"), kind=kind)
        elif entry.rule in rules:
            rule = rules[entry.rule]
            origins[entry.leaf] = Origin((), _full(mapping.name, entry.rule), _place(rule), "follows from the rule")
    return origins


def _in_force(name: str, rules: dict[str, Any], letter: Letter | None) -> str:
    """Of several rules for one place of a resource the one whose guard holds in this letter.

    The way back names the first of them, since it does not matter there which one wrote a value that is rebuilt.
    """
    named, scope = rules.get(name), name.rpartition(".")[0]
    if letter is None or named is None or not getattr(named, "when", "") or "." in scope:
        return name
    for other, rule in rules.items():
        same = other.rpartition(".")[0] == scope and getattr(rule, "target", "") == named.target
        if same and (not rule.when or _holds(rule.when, letter)):
            return other
    return name


def _holds(guard: str, letter: Letter) -> bool:
    """Whether a guard of a mapping is true of a letter."""
    expression = compile_guard(guard, lambda path: repr(letter.text(path)))
    return _true(ast.parse(expression, mode="eval").body)


def _true(node: ast.expr) -> bool:
    if isinstance(node, ast.BoolOp):
        return (all if isinstance(node.op, ast.And) else any)(map(_true, node.values))
    if isinstance(node, ast.UnaryOp):
        return not _true(node.operand)
    if not isinstance(node, ast.Compare):
        return bool(ast.literal_eval(node))
    left, right, operator = ast.literal_eval(node.left), ast.literal_eval(node.comparators[0]), node.ops[0]
    inside = isinstance(operator, ast.In | ast.NotIn)
    same: bool = left in right if inside else left == right
    return same == isinstance(operator, ast.In | ast.Eq | ast.Is)


def _kind(rule: Any, sources: tuple[str, ...]) -> str:
    if getattr(rule, "const", None) is not None:
        return "constant of the rule"
    if getattr(rule, "id", "") or getattr(rule, "ref", ""):
        return "id made from the letter's ids, or a reference"
    if any(source.startswith("$") for source in sources):
        return "from the organisation table"
    return "mapped" if sources else "made by the rule"


def _rules(mapping: Mapping) -> dict[str, Any]:
    """The rules of a mapping by the names that ledgers use."""
    document = mapping.document
    rules: dict[str, Any] = {f"bundle.{rule.name}": rule for rule in document.bundle_rules}
    # The way back gives the rules of the Bundle itself no names of their own.
    if len(document.bundle_rules) == 1:
        rules["bundle"] = document.bundle_rules[0]
    for resource in document.resources.values():
        for rule in resource.rules:
            rules[f"{resource.name}.{rule.name}"] = rule
            for inner in getattr(rule, "rules", ()):
                rules[f"{resource.name}.{rule.name}.{inner.name}"] = inner
    return rules


def _with_indices(origin: Origin, known: set[str]) -> Origin:
    """The origin with sources that the message has; a pattern stands for its only occurrence."""
    sources = []
    for source in origin.sources:
        if source in known:
            sources.append(source)
        else:
            sources += [leaf for leaf in known if pattern(leaf) == source][:1]
    return Origin(tuple(sources), origin.rule, origin.place, origin.kind, origin.loss)


# Text


def text(found: Explanation, *, show_values: bool = False) -> str:
    """The explanation as `explain` prints it: the target value by value, then the source values without a home."""
    places = {leaf.key: leaf.at for leaf in found.source}
    lines = [f"{found.name}: {found.title}"]
    if found.target:
        lines += ["", f"In the target: {len(found.target)} values"]
    for leaf in found.target:
        lines.append(f"  {neutral(leaf.key)}{_value(leaf, show_values)}")
        lines += _origin_lines(found.origins[leaf.key], places, found)
    if not found.fates:
        lines += ["", f"In the message, which has no FHIR message of its own: {len(found.source)} values"]
        lines += [f"  {neutral(leaf.key)}{_where(leaf.at)}{_value(leaf, show_values)}" for leaf in found.source]
        return "\n".join(lines) + "\n"
    homeless = list(found.homeless())
    lines += ["", f"Without a place of its own in the target: {len(homeless)} of {len(found.source)} source values"]
    for leaf, entry in homeless:
        lines.append(f"  {neutral(leaf.key)}{_where(leaf.at)}{_value(leaf, show_values)}")
        lines.append(f"      {why(entry, found)}")
    return "\n".join(lines) + "\n"


def _origin_lines(origin: Origin, places: dict[str, Location | None], found: Explanation) -> Iterator[str]:
    for source in origin.sources:
        yield f"      from {neutral(source)}{_where(places.get(source))}"
    rule = f"rule {origin.rule}" + (f" ({origin.place})" if origin.place else "") if origin.rule else ""
    parts = [rule, origin.kind, loss_text(origin.loss, found)]
    yield "      " + "; ".join(part for part in parts if part)


def why(entry: Entry, found: Explanation) -> str:
    """Why a source value has no home: its disposition, the loss id and what the catalogue says."""
    said = _HOMELESS.get(str(entry.disposition), f"{entry.disposition}, in a value that stands for several")
    rule = f" (rule {entry.rule})" if entry.rule and entry.rule != "not_carried" else ""
    loss = loss_text(entry.loss, found)
    return said + rule + (f"; {loss}" if loss else "")


def loss_text(loss: str, found: Explanation) -> str:
    """A loss id with the words of the catalogue."""
    return f"{loss}: {found.losses.get(loss, 'not in the catalogue')}" if loss else ""


def _where(at: Location | None) -> str:
    if at is None or not (at.line or at.segment):
        return ""
    parts = [f"{at.line}:{at.column}"]
    if at.segment:
        parts.append(f"segment {at.ordinal} {at.segment}" if at.ordinal else f"segment {at.segment}")
    if at.element:
        parts.append(f"element {at.element}" + (f" component {at.component}" if at.component else ""))
    return f" at {', '.join(parts)}"


def _value(leaf: Leaf, show_values: bool) -> str:
    return f" = {shown(leaf.text)}" if show_values else ""


def shown(value: str) -> str:
    """A value as it may be printed: without control characters, long ones cut with a word about it."""
    cut = value if len(value) <= _SHOWN else f"{value[:_SHOWN]} … ({len(value)} characters)"
    return neutral(cut)


# The page


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a panel: how deep it stands, its label, and its value with the links that it lights."""

    depth: int
    label: str
    text: str = ""
    links: str = ""
    note: str = ""
    has_value: bool = False


def page(found: list[Explanation], *, show_values: bool = False) -> str:
    """One self-contained HTML page: source left, target right; each value lights its partners and its rule."""
    sections = [section(number, one, show_values) for number, one in enumerate(found)]
    return templates().get_template("explain.html.j2").render(sections=sections, show_values=show_values, digest=digest)


@dataclass(slots=True)
class _Marks:
    """What the two panels of one message share: links and notes by side and key."""

    found: Explanation
    show_values: bool
    links: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def link(self, link: str, target: str, origin: Origin) -> None:
        """Join a target value with its sources."""
        place = f" ({origin.place})" if origin.place else ""
        rule = f"rule {origin.rule}{place}" if origin.rule else ""
        note = "; ".join(part for part in (rule, origin.kind, loss_text(origin.loss, self.found)) if part)
        for key in (f"t{target}", *(f"s{source}" for source in origin.sources)):
            self.links.setdefault(key, []).append(link)
            self.notes.setdefault(key, note)

    def line(self, key: str, depth: int, label: str, leaf: Leaf) -> Line:
        """The line of a value; `key` begins with its side."""
        shown_text = shown(leaf.text) if self.show_values else HIDDEN
        note = "; ".join(part for part in (_where(leaf.at).strip(), self.notes.get(key, "")) if part)
        return Line(depth, neutral(label), shown_text, " ".join(self.links.get(key, ())), neutral(note), has_value=True)


def section(number: int, found: Explanation, show_values: bool) -> dict[str, Any]:
    """What the page shows of one message: both sides, line by line."""
    marks = _Marks(found, show_values)
    for count, (target, origin) in enumerate(found.origins.items()):
        marks.link(f"{number}-{count}", target, origin)
    for leaf, entry in found.homeless():
        marks.notes[f"s{leaf.key}"] = why(entry, found)
    return {
        "name": neutral(found.name),
        "title": neutral(found.title),
        "source": _panel("s", found.source, found.source_bundle, marks),
        "target": _panel("t", found.target, found.target_bundle, marks),
    }


def _panel(side: str, leaves: list[Leaf], bundle: dict[str, Any] | None, marks: _Marks) -> list[Line]:
    if bundle is None:
        return [marks.line(side + leaf.key, 0, leaf.key, leaf) for leaf in leaves]
    texts = {leaf.key: leaf for leaf in leaves}
    return list(_tree(bundle, "", 0, lambda depth, label, key: marks.line(side + key, depth, label, texts[key])))


def _tree(node: Any, pointer: str, depth: int, line: Callable[[int, str, str], Line]) -> Iterator[Line]:
    """The lines of a resource: objects and lists by their names, values below them."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for name, value in items:
        step = str(name).replace("~", "~0").replace("/", "~1")
        below = f"{pointer}/{step}"
        label = str(name) if isinstance(node, dict) else f"[{name}]"
        if isinstance(value, dict | list):
            kind = value.get("resourceType") if isinstance(value, dict) else None
            yield Line(depth, neutral(f"{label} {kind}" if isinstance(kind, str) else label))
            yield from _tree(value, below, depth + 1, line)
        elif value is not None and name != "resourceType":
            yield line(depth, label, below)


# Codes and letter types


def subject(word: str, definitions: Definitions, names: Path | None = None) -> str | None:
    """The page of an issue code, or of a letter type (`DIS91`, `DIS91@D9133L`); None if it is neither.

    `names` is the file with what letter types are called. Raises `MappingError` if it does not load.
    """
    kind = catalog().get(word.upper())
    if kind is not None:
        return kind_page(kind)
    type_, _, version = word.partition("@")
    versions = definitions.types.get(type_.upper().removeprefix("X") if type_ not in definitions.types else type_, ())
    found = definitions.get(type_.upper().removeprefix("X"), version or next(iter(versions), ""))
    return definition_text(found, _called(found.type, names)) if found else None


def _called(type_: str, names: Path | None) -> str:
    """The Danish and English name of a letter type; empty if none is known."""
    known = load(names).get(type_) if names is not None and names.is_file() else None
    return (
        ", ".join(f"{known[language]} ({language})" for language in ("da", "en") if language in known) if known else ""
    )


def definition_text(definition: Any, called: str = "") -> str:
    """A letter type in one version: its names, whether it has an EDIFACT form, and one row a leaf."""
    rows = [("leaf", "type", "card.", "EDIFACT", "OIOXML"), *(tuple(row) for row in definition.table())]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        f"{definition.type} {definition.version} (OIOXML: {definition.root}, VersionCode {definition.version_code})"
    ]
    lines += [called] if called else []
    lines += [] if definition.edifact else ["OIOXML only: the EDIFACT layout of this version is not published"]
    lines += ["EDIFACT layout untested against real letters"] if definition.untested else []
    for row in rows:
        lines.append(
            "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4])).rstrip()
        )
    return "\n".join(lines) + "\n"


def compiled(name: str, direction: str, engine: Engine) -> str | None:
    """What was compiled under that name: a mapping's generated Python, a letter definition, a profile's functions."""
    mapping = engine.mappings.named(name)
    if mapping is not None:
        sources = {"forth": (mapping.source_forward,), "back": (mapping.source_backward,)}
        both = (mapping.source_forward, mapping.source_backward)
        return "\n\n".join(sources.get(direction, both))
    type_, _, version = name.partition("@")
    definition = engine.definitions.get(type_, version or next(iter(engine.definitions.types.get(type_, ())), ""))
    if definition is not None:
        return definition_text(definition)
    profile = engine.profile(name) or next(
        (found for pack in engine.packs for url in pack.bundle_profiles() if (found := _named(pack, url, name))), None
    )
    return profile.source if profile is not None else None


def _named(pack: Pack, url: str, name: str) -> Profile | None:
    return pack.profile(url) if url.partition("|")[0].endswith(f"/{name}") else None

"""What mapping files refer to in each other: ids, resources, parts, slices, losses, lines of `not_carried`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from converter.errors import MappingError
from converter.issues import IssueLog, Location, Severity, declare
from converter.joining.table import FILE as ATTACHMENTS
from converter.linting.scope import Scope, Written
from converter.linting.shapes import Unknown
from converter.mapping import paths
from converter.mapping.document import Derived, Document, Each, Refs, Rule
from converter.yamlfile import Map, Seq, Str, load, place

KEY_ABSENT = declare(
    "LNT150",
    "id-key-may-be-absent",
    Severity.ERROR,
    "ids are built from {path!r}, which a letter need not have",
    why="Letters without it would be refused, or two of them would get the same ids.",
    help="Build ids from elements that every letter has.",
)
MAY_BE_ABSENT = declare(
    "LNT151",
    "reference-to-absent-resource",
    Severity.ERROR,
    "{element} is required and refers to {name!r}, which is not made for every letter (it has an anchor or a guard)",
    why="The reference would be left out, and the message would break its profile.",
    help="Refer to a resource that always exists, or make this one for every letter.",
)
UNREACHED = declare(
    "LNT152",
    "resource-not-referred-to",
    Severity.ERROR,
    "nothing refers to the resource {name!r}, and it refers to nothing that is in the message",
    why="A receiver would not know what it is about; FHIR allows no such resource in a message.",
    help="Refer to it with `ref` or `refs`, or let it refer to another (`found: {element: resource}`).",
)
SAME_ID = declare(
    "LNT154",
    "id-used-twice",
    Severity.ERROR,
    "the id {name!r} is made for {first!r} too",
    why="Two things would have one id.",
    help="Give each made id a name of its own.",
)
HIDDEN = declare(
    "LNT155",
    "constant-hides-rule",
    Severity.ERROR,
    "the rule {constant!r} always writes its constant here, so this one never writes {element}",
    why="What this rule says of the letter's value does not happen, and the value is lost.",
    help="Give the constant a `when`, or make it the `default` of this rule.",
)
UNUSED_PART = declare(
    "LNT160",
    "part-unused",
    Severity.WARNING,
    "no mapping uses the {what} {name!r}",
    why="Somebody will keep it up to date for nothing, or thinks that it works.",
    help="Use it, or remove it.",
)
UNUSED_FILE = declare(
    "LNT161",
    "uses-without-need",
    Severity.WARNING,
    "nothing of the part file {name!r} is used",
    why="A reader looks for what the mapping takes from it.",
    help="Remove it from `uses`: `medcom-fhir lint --fix` does.",
)
UNKNOWN_PARAMETER = declare(
    "LNT162",
    "parameter-unknown",
    Severity.ERROR,
    "the part {name!r} {problem}",
    why="The text stays as it is, and the path that it stands in leads nowhere.",
    help="Name every parameter under `params`, and use each.",
)
SAME_AGAIN = declare(
    "LNT163",
    "overlay-changes-nothing",
    Severity.WARNING,
    "the overlay says of {name!r} what its base says already",
    why="A reader looks for the difference; a later change of the base would not reach this mapping.",
    help="Remove it from the overlay.",
)
SLICE_TWICE = declare(
    "LNT164",
    "slice-defined-twice",
    Severity.ERROR,
    "the slice {name!r} is defined otherwise in {first}",
    why="Which of the two a mapping gets depends on the order of `uses`.",
    help="Define it once, or give one of them another name.",
)
UNUSED_LOSS = declare(
    "LNT170",
    "loss-unused",
    Severity.WARNING,
    "no mapping names the loss {name}",
    why="The catalogue promises to tell of a loss that cannot happen any more, or a rule forgot to name it.",
    help="Name it at the rule that loses the value, or remove it.",
)
NEVER_REACHED = declare(
    "LNT171",
    "line-never-reached",
    Severity.WARNING,
    "the line for {path} comes after one for {first} that covers it",
    why="The first line that fits decides, so this one says something that does not happen.",
    help="Put it before the other one, or remove it.",
)
NOT_THERE = declare(
    "LNT172",
    "not-carried-unknown",
    Severity.ERROR,
    "{problem}",
    why="The line never fits, and the loss that it declares is told under another id or as unknown.",
    help="Write `Type.element.element` without brackets, as the profile names them.",
)
# Named by the converter itself.
ENGINE = frozenset(["C91-18", "C91-20", "C91-22", "F91-23", "F91-24"])


def check(scope: Scope) -> None:
    """Ids, references and lines of one mapping."""
    _keys(scope)
    _references(scope)
    _reachable(scope.document, scope)
    _made_ids(scope)
    _hidden(scope)
    _not_carried(scope)


def _keys(scope: Scope) -> None:
    letters = scope.letters
    for path in scope.document.key if letters else ():
        if not path.startswith("$") and letters and letters.element(path) and not letters.mandatory(path):
            scope.add(KEY_ABSENT, place(path), letter=str(path), path=str(path))


def _references(scope: Scope) -> None:
    """A required reference to a resource that need not exist."""
    shapes = scope.shapes
    for written in scope.rules():
        target = scope.document.resources.get(written.rule.ref)
        if shapes is None or target is None or written.resource is None or not _conditional(scope, target):
            continue
        together = not target.when and target.anchor and written.resource.anchor == target.anchor
        if written.resource is target or written.rule.when or together:
            continue
        start = scope.resource(written.resource.name)
        slices = scope.document.slices
        try:
            if written.each is not None and start is not None:
                start = shapes.walk(start, paths.parse(written.each.target, slices))
            found = shapes.walk(start, paths.parse(written.rule.target, slices)) if start is not None else None
        except (Unknown, ValueError):
            continue
        if found is not None and found.node.min and "." not in written.rule.target:
            told = {"element": found.node.id, "name": written.rule.ref}
            scope.add(MAY_BE_ABSENT, written.rule.place("ref"), rule=written.name, **told)


def _conditional(scope: Scope, resource: Any) -> bool:
    """Whether some letter has no such resource."""
    if resource.when or resource.each:
        return True
    anchors = [path for path in resource.anchor if path not in scope.document.key]
    return bool(resource.anchor) and len(anchors) == len(resource.anchor) and not _some_mandatory(scope, anchors)


def _some_mandatory(scope: Scope, anchors: Iterable[str]) -> bool:
    return scope.letters is None or any(scope.letters.mandatory(path) for path in anchors)


def _reachable(document: Document, scope: Scope) -> None:
    named: set[str] = set()
    for resource in document.resources.values():
        for one in resource.rules:
            if isinstance(one, Refs):
                named.update(one.names)
            elif isinstance(one, Each):
                named.update(rule.ref for rule in one.rules)
            elif isinstance(one, Rule):
                named.add(one.ref)
            elif isinstance(one, Derived):
                continue
    for number, resource in enumerate(document.resources.values()):
        outside = any(isinstance(r, Rule) and r.target.endswith(".reference") for r in resource.rules)
        if number and resource.name not in named and not resource.found_by and not outside:
            scope.add(UNREACHED, resource.at, rule=resource.name, name=resource.name)


def _made_ids(scope: Scope) -> None:
    seen: dict[str, str] = {}
    for written in scope.rules():
        if written.rule.id:
            if written.rule.id in seen:
                told = {"name": written.rule.id, "first": seen[written.rule.id]}
                scope.add(SAME_ID, written.rule.place("id"), rule=written.name, **told)
            seen.setdefault(written.rule.id, written.name)


def _hidden(scope: Scope) -> None:
    """Rules beside a constant without a guard: the constant stands, wherever it is written.

    A rule with the same constant may stand there, to claim the letter's value that says as much.
    """
    constants: dict[tuple[int, int, str], Written] = {}
    for written in scope.rules():
        if written.rule.forward and written.rule.const is not None and not written.rule.when:
            constants.setdefault(_slot(written, written.rule.target), written)
    for written in scope.rules() if constants else ():
        rule = written.rule
        for target in rule.fhir_columns.values() if rule.map else [rule.target]:
            constant = constants.get(_slot(written, target), written)
            if rule.forward and not rule.keep and constant.rule is not rule and rule.const != constant.rule.const:
                told = {"constant": constant.name, "element": target}
                scope.add(HIDDEN, rule.place("to"), rule=written.name, **told)


def _slot(written: Written, target: str) -> tuple[int, int, str]:
    """Where a rule writes: in which resource, in which item of a list, at which path."""
    return id(written.resource), id(written.each), target


def _not_carried(scope: Scope) -> None:
    open_: list[Mapping[str, str]] = []
    for line in scope.document.not_carried:
        path = line["path"]
        at = scope.document.lines.get(id(line), Location(scope.document.file, 1, 1))
        for before in open_:
            first = before["path"]
            same = before.get("when_born") in (None, line.get("when_born"))
            if same and (path == first or path.startswith(first + ".")) and at.file == scope.document.file:
                scope.add(NEVER_REACHED, at, rule="not_carried", element=path, path=path, first=first)
                break
        if line.get("constant") in (None, "any"):
            open_.append(line)
        _exists(scope, path, at)


def _exists(scope: Scope, path: str, at: Location) -> None:
    """Whether a line of `not_carried` names an element of its type."""
    shapes = scope.shapes
    type_, _, rest = path.partition(".")
    if shapes is None:
        return
    profiles = {r.profile for r in scope.document.resources.values() if r.type == type_}
    if type_ == "Bundle":
        profiles = {scope.document.bundle}
    if not profiles and not shapes.pack.is_resource(type_):
        scope.add(NOT_THERE, at, rule="not_carried", element=path, problem=f"FHIR has no resource {type_!r}")
    problems = []
    for profile in sorted(profiles):
        start = shapes.root(profile, type_)
        try:
            for name in rest.split(".") if rest and start is not None else ():
                start = shapes.step(start, name) if start is not None else None
        except Unknown as error:
            problems.append(error.reason)
    if problems and len(problems) == len(profiles):
        scope.add(NOT_THERE, at, rule="not_carried", element=path, problem=problems[0])


# -- all files together ------------------------------------------------------------------------------------------------


def check_all(folder: Path, log: IssueLog) -> None:
    """Parts, slices, losses and code maps that nothing uses, overlays that change nothing."""
    files = {f"fhir/{p.relative_to(folder / 'fhir').as_posix()}": p for p in sorted((folder / "fhir").rglob("*.yaml"))}
    loaded = {name: document for name, path in files.items() if (document := _read(path, name)) is not None}
    texts = {name: list(_texts(_without_slices(document))) for name, document in loaded.items()}
    if len(loaded) < len(files):
        return  # what a file that cannot be read uses is not known
    parts = {Path(name).stem: document for name, document in loaded.items() if "/parts/" in name}
    _parts(parts, loaded, texts, log)
    _slices(parts, log)
    _losses(folder, texts, log)
    _overlays(loaded, log)


def _read(path: Path, name: str) -> Map | None:
    """A file, or None for one that cannot be read; what is wrong with it is told where it is loaded."""
    try:
        return load(path, name=name)
    except (MappingError, OSError):
        return None


def _without_slices(document: Map) -> Map:
    """A file without what it defines: a slice that is only defined is not used."""
    return Map({key: value for key, value in document.items() if key != "slices"})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Map):
        for key, child in value.items():
            yield str(key)
            yield from _texts(child)
    elif isinstance(value, Seq):
        for child in value:
            yield from _texts(child)
    elif isinstance(value, Str):
        yield str(value)


def _parts(parts: Mapping[str, Map], loaded: Mapping[str, Map], texts: Mapping[str, list[str]], log: IssueLog) -> None:
    applied = {str(a.get("part", "")) for document in loaded.values() for a in _applications(document)}
    words = {name: _words(found) for name, found in texts.items()}
    everywhere = set().union(*words.values()) if words else set()
    for document in parts.values():
        for kind, known in (("part", applied), ("slice", everywhere)):
            for name, entry in document.get(f"{kind}s", {}).items():
                if str(name) not in known:
                    log.add(UNUSED_PART, place(name), what=kind, name=str(name))
                if kind == "part" and isinstance(entry, Map):
                    _parameters(name, entry, log)
    for file, document in loaded.items():
        own = "/parts/" not in file
        chain = _chain(file, loaded)
        used = set().union(*(words[f] for f in chain)) if chain else set()
        names = {str(a.get("part", "")) for f in chain for a in _applications(loaded[f])}
        for name in document.get("uses", ()) if own else ():
            part = parts.get(str(name), Map())
            has = {str(n) for n in part.get("slices", {})} | {str(n) for n in part.get("parts", {})}
            # What parts of the same mapping use of each other counts as well.
            inside = set().union(
                *(words[f"fhir/parts/{n}.yaml"] for n in _uses(chain, loaded) if n != str(name) and n in parts)
            )
            if has and not has & (used | names | inside):
                log.add(UNUSED_FILE, place(name), name=str(name))


def _uses(chain: Iterable[str], loaded: Mapping[str, Map]) -> set[str]:
    return {str(name) for file in chain for name in loaded[file].get("uses", ())}


def _chain(file: str, loaded: Mapping[str, Map]) -> list[str]:
    """A mapping file, those that extend it, and those that it extends."""
    found = [file]
    base = loaded[file].get("extends")
    while base and f"fhir/{base}.yaml" in loaded and f"fhir/{base}.yaml" not in found:
        found.append(f"fhir/{base}.yaml")
        base = loaded[found[-1]].get("extends")
    name = Path(file).stem
    return found + [f for f, document in loaded.items() if str(document.get("extends", "")) == name]


def _words(texts: Iterable[str]) -> set[str]:
    """The slices that texts name, `element[slice]`, negated or not."""
    found: set[str] = set()
    for text in texts:
        for name, selector in re.findall(r"([A-Za-z]+)\[(?:not )?([A-Za-z][^\]]*)\]", text):
            if text != f"{name}[{selector}]" or "." in text:
                found.add(f"{name}[{selector}]")
            else:
                found.add(text)
    return found


def _applications(value: Any) -> Iterator[Map]:
    if isinstance(value, Map):
        if "part" in value:
            yield value
        for child in value.values():
            yield from _applications(child)
    elif isinstance(value, Seq):
        for child in value:
            yield from _applications(child)


def _parameters(name: Str, entry: Map, log: IssueLog) -> None:
    params = {str(p) for p in entry.get("params", ())}
    body = [t for key, child in entry.items() if key != "params" for t in _texts(child)]
    used = {word for text in body for word in re.findall(r"\$([a-z_]+)", text)}
    for word in sorted(params - used):
        log.add(UNKNOWN_PARAMETER, place(name), name=str(name), problem=f"never uses its parameter {word!r}")
    for word in sorted(used - params):
        if not word.endswith("_row") and word not in ("index", "row", "original"):
            log.add(UNKNOWN_PARAMETER, place(name), name=str(name), problem=f"uses ${word}, which is no parameter")


def _slices(parts: Mapping[str, Map], log: IssueLog) -> None:
    seen: dict[str, tuple[str, Any]] = {}
    for file, document in parts.items():
        for name, entry in document.get("slices", {}).items():
            first = seen.setdefault(str(name), (file, entry))
            if first[1] != entry:
                log.add(SLICE_TWICE, place(name), name=str(name), first=f"parts/{first[0]}.yaml")


def _losses(folder: Path, texts: Mapping[str, list[str]], log: IssueLog) -> None:
    beside = _read(folder / ATTACHMENTS, ATTACHMENTS) if (folder / ATTACHMENTS).is_file() else None
    every = "\n".join(text for found in (*texts.values(), _texts(beside or Map())) for text in found)
    named = set(re.findall(r"[A-Z][A-Z0-9]*-\d+", every)) | ENGINE
    entries = load(folder / "losses.yaml", name="losses.yaml").get("losses", {})
    for name in entries:
        if str(name) not in named:
            log.add(UNUSED_LOSS, place(name), name=str(name))


def _overlays(loaded: Mapping[str, Map], log: IssueLog) -> None:
    for document in loaded.values():
        base = loaded.get(f"fhir/{document.get('extends', '')}.yaml")
        if base is None:
            continue
        for name, resource in document.get("resources", {}).items():
            old = base.get("resources", {}).get(name)
            if isinstance(resource, Map) and isinstance(old, Map):
                _same(old.get("rules", Map()), resource.get("rules", Map()), log)
        _same(base.get("bundle_rules", Map()), document.get("bundle_rules", Map()), log)
        _same(base.get("back", Map()).get("rules", Map()), document.get("back", Map()).get("rules", Map()), log)


def _same(old: Map, new: Map, log: IssueLog) -> None:
    for name, entry in new.items():
        if name in old and old[name] == entry:
            log.add(SAME_AGAIN, place(name), name=str(name))

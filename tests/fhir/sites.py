"""The places of a Bundle with the facts that the pack states about them, read on its own from the pack's JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKS = ROOT / "mappings" / "profiles"
MESSAGE = Path(__file__).parent / "rules" / "message.yaml"
BASE = "http://hl7.org/fhir/StructureDefinition/"
Object = dict[str, Any]
Steps = tuple[Any, ...]
Change = Callable[[Any], None]

# Texts that no value of the type may be. What is not listed (string, markdown) may be any text.
MALFORMED = {
    "base64Binary": "#",
    "canonical": "a b",
    "code": " a",
    "date": "2026-02-30",
    "dateTime": "2026-02-30",
    "id": "a b",
    "instant": "2026-01-01",
    "oid": "1.2.3",
    "time": "25:00:00",
    "uri": "a b",
    "url": "a b",
    "uuid": "urn:uuid:1",
}
NUMBERS = ("integer", "decimal", "positiveInt", "unsignedInt")
PRIMITIVES = {*MALFORMED, *NUMBERS, "boolean", "string", "markdown", "xhtml"}


@dataclass(frozen=True)
class Mutant:
    """A change, the kind of rule that it breaks, and what must be found: one of `codes` at one of `at`."""

    kind: str
    element: str
    change: Change
    codes: frozenset[str]
    at: frozenset[str]
    key: str = ""  # of an invariant


@dataclass(frozen=True)
class Site:
    """A place of a message that an element of a profile judges: `owner` is the object that has it, or may have it."""

    owner: Object
    steps: Steps
    facts: Object
    names: dict[str, Any]  # JSON property -> type, as the pack writes types
    decides: frozenset[str] = frozenset()  # properties by which the slice around it is recognised

    @property
    def here(self) -> str:
        return pointer(self.steps)

    @property
    def present(self) -> list[str]:
        return [n for n in self.names if n in self.owner]

    def places(self) -> Iterator[tuple[str, Steps, Any]]:
        """Type, steps and value of everything that stands there: the items of lists, else the value."""
        for name in self.present:
            value, steps = self.owner[name], (*self.steps, name)
            items = enumerate(value) if isinstance(value, list) else ()
            found = [((*steps, i), v) for i, v in items] if isinstance(value, list) else [(steps, value)]
            for where, item in found:
                yield code_of(self.names[name]), where, item


class Facts:
    """The facts of a pack, as elements below elements."""

    def __init__(self, pack: Object) -> None:
        self.pack = pack
        self._tables: dict[str, dict[str, list[Object]]] = {}

    def key(self, canonical: str) -> str | None:
        """`url|version` of a profile that the pack holds."""
        if canonical in self.pack["profiles"]:
            return canonical
        found = self.pack["canonical"].get(canonical.partition("|")[0])
        return str(found) if found else None

    def type(self, canonical: str) -> str | None:
        """The type that a profile is about."""
        key = self.key(canonical)
        return str(self.pack["profiles"][key]["type"]) if key else None

    def root(self, key: str) -> Object:
        """The first element of a profile."""
        return self.pack["profiles"][key]["elements"][0]  # type: ignore[no-any-return]

    def below(self, key: str, above: str) -> list[Object]:
        """The elements directly below another, and its slices."""
        if key not in self._tables:
            table = self._tables[key] = defaultdict(list)
            for facts in self.pack["profiles"][key]["elements"][1:]:
                table[facts["id"].rpartition(".")[0]].append(facts)
        return self._tables[key].get(above, [])

    def slices(self, key: str, element: str) -> list[Object]:
        """The slices of an element."""
        above, _, name = element.rpartition(".")
        return [f for f in self.below(key, above) if f["id"].rpartition(".")[2].startswith(name + ":")]

    def rules(self, facts: Object) -> list[str]:
        """The keys of an element's rules that are errors."""
        rules = [self.pack["rules"][n] for n in facts.get("rules", ())]
        return [r["key"] for r in rules if r["severity"] == "error"]


def code_of(kind: Any) -> str:
    """The code of a type as the pack writes it."""
    return str(kind["code"] if isinstance(kind, dict) else kind)


def pointer(steps: Steps) -> str:
    return "".join(f"/{s}" for s in steps)


def at(document: Any, steps: Steps) -> Any:
    for step in steps:
        document = document[step]
    return document


def names_of(facts: Object) -> dict[str, Any]:
    """JSON property -> type, of an element."""
    name = facts["id"].rpartition(".")[2].partition(":")[0]
    kinds = facts.get("types", [])
    if not name.endswith("[x]"):
        return {name: kinds[0] if kinds else ""}
    return {name[:-3] + code_of(k)[0].upper() + code_of(k)[1:]: k for k in kinds}


# -- Walking: which elements of which profiles judge which places --


def sites(bundle: Object, facts: Facts, profile: str) -> Iterator[Site]:
    """Every place of a Bundle with every element that judges it: of the profile, of claimed profiles, of base types."""
    yield from _object(bundle, (), facts, profile, facts.root(profile)["id"])
    for number, entry in enumerate(bundle["entry"]):
        resource = entry.get("resource", {})
        claims = [facts.key(c) for c in resource.get("meta", {}).get("profile", [])]
        base = facts.key(BASE + resource["resourceType"])
        for key in {k for k in (*claims, base) if k}:
            yield from _object(resource, ("entry", number, "resource"), facts, key, facts.root(key)["id"])


def _object(
    value: Any, steps: Steps, facts: Facts, key: str, above: str, *, decides: Iterable[str] = ()
) -> Iterator[Site]:
    """The places in an object that the elements below `above` judge."""
    if not isinstance(value, dict):
        return
    for element in facts.below(key, above):
        if ":" in element["id"].rpartition(".")[2]:
            continue
        site = Site(value, steps, element, names_of(element), frozenset(decides))
        yield site
        for code, where, item in site.places():
            kind = site.names[where[len(steps)]]
            yield from _value(item, where, facts, key, element, kind=kind, code=code)


def _value(
    value: Any, steps: Steps, facts: Facts, key: str, element: Object, *, kind: Any, code: str
) -> Iterator[Site]:
    """What judges a value: the elements below its own, or its type, its profiles, and the slice that it belongs to."""
    plain = code in PRIMITIVES or facts.type(BASE + code) is None or code in facts.pack["resources"]
    if plain and "content" not in element and not facts.below(key, element["id"]):
        return
    if code == "Extension":
        meant = facts.key(str(value.get("url"))) if isinstance(value, dict) else None
        if meant:
            yield from _object(value, steps, facts, meant, facts.root(meant)["id"])
        return
    if facts.below(key, element["id"]):
        yield from _object(value, steps, facts, key, element["id"])
    elif base := facts.key(BASE + code):
        yield from _object(value, steps, facts, base, facts.root(base)["id"])
    yield from _profiles(value, steps, facts, kind)
    for part, decides in slices_of(value, facts, key, element):
        yield from _object(value, steps, facts, key, part["id"], decides=decides)
        yield from _profiles(value, steps, facts, (part.get("types") or [""])[0], decides)


def _profiles(value: Any, steps: Steps, facts: Facts, kind: Any, decides: Iterable[str] = ()) -> Iterator[Site]:
    for canonical in kind.get("profiles", ()) if isinstance(kind, dict) else ():
        if code_of(kind) not in ("Extension", *facts.pack["resources"]) and (key := facts.key(canonical)):
            yield from _object(value, steps, facts, key, facts.root(key)["id"], decides=decides)


def slices_of(value: Any, facts: Facts, key: str, element: Object) -> Iterator[tuple[Object, list[str]]]:
    """The slice that an object belongs to, if plain properties with fixed texts decide."""
    by = element.get("slicing", {}).get("by", [])
    if not by or any(kind not in ("value", "pattern") or not path.isalpha() for kind, path in by):
        return
    paths = [path for _, path in by]
    for part in facts.slices(key, element["id"]):
        wanted = [text_of(part, path, facts, key) for path in paths]
        if None not in wanted and isinstance(value, dict) and wanted == [value.get(p) for p in paths]:
            yield part, paths


def text_of(part: Object, name: str, facts: Facts, key: str) -> str | None:
    """The text that a slice, or the profile of its type, fixes a property to."""
    kind = (part.get("types") or [""])[0]
    homes = [(key, part["id"])]
    for canonical in kind.get("profiles", ()) if isinstance(kind, dict) else ():
        if home := facts.key(canonical):
            homes.append((home, facts.root(home)["id"]))
    for home, above in homes:
        for element in facts.below(home, above):
            fixed = element.get("fixed", element.get("pattern"))
            if element["id"].rpartition(".")[2] == name and isinstance(fixed, str):
                return fixed
    return None

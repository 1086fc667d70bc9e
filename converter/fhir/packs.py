"""Compiling an implementation guide and its dependencies into one pack of facts: what the validator runs from.

A pack holds element tables, value set expansions and parsed invariants; no definitions, comments or other prose. It is
made of everything that a message of the guide can reach: the guide's own profiles, the profiles and datatypes that
their elements name, the targets of their references, the base resources of all these, and the extensions that may
stand on them. The same input gives the same bytes.

    {"head": {guide, profiles: {url: version}},
     "pack": 1, "guide": NAME#VERSION, "sources": [{name, licence}], "missing": [NAME#VERSION],
     "profiles": {"url|version": {name, type, kind, base?, abstract?, own?, context?, modifier?, elements}},
     "resources": [type], "canonical": {url: "url|version"}, "systems": {url: {code: [display]}},
     "valuesets": {key: {codes, grammars?, unknown?}}, "rules": [rule]}
    head: comes first in the file, so that it can be read without the rest: the guide's own profiles
    element: {id, min?, max?, list?, types?, fixed?, pattern?, length?, minValue?, maxValue?, slicing?, slice?,
              binding?, advice?, content?, rules?, narrative?}      a missing min is 0, a missing max is 1 ("*" is null)
    type:    a code, or {code, profiles?, targets?, aggregation?}
    advice:  [strength, key of a value set], where a code outside it is no error
    rule:    {key, severity, tree, digest}      (trees: see expressions.py)
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import deque
from pathlib import Path
from typing import Any

import orjson

from converter.errors import ProfileError
from converter.fhir.packages import DEFAULT_FOLDER, Closure, Definition, is_package_name, read_closure
from converter.fhir.terminology import concepts, expand

FORMAT = 1
BASE = "http://hl7.org/fhir/StructureDefinition/"
R4 = "hl7.fhir.r4.core#"
OBLIGATION = "http://hl7.org/fhir/StructureDefinition/obligation"
MOST_ADVICE = 100
MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
# Rules that hold for every element and are checked as such, so that the tables need not repeat them 3 000 times.
EVERYWHERE = {"ele-1"}
_HEAD, _HEAD_BYTES = b'{"head":', 64_000
# Resources that a message Bundle of any guide may hold although no profile points to them.
ALWAYS = ("Bundle", "MessageHeader", "OperationOutcome", "Binary", "Basic", "Provenance")
NARROW = ("elementdefinition-", "structuredefinition-", "operationdefinition-", "cqif-", "cqf-", "11179-", "valueset-")

Pack = dict[str, Any]


def build_pack(guide: str, packages: Path, sources: Path | None = None, preview: str = "") -> Pack:
    """Compile a guide (`NAME#VERSION`) of the folder `packages`, or of ours in source form under `sources`.

    A package of that name in the folder wins. `preview` is a coming version of the guide: the rules that it has beyond
    this one are packed as warnings, under the key `KEY@VERSION`. Raises ProfileError if it cannot be done, MappingError
    for faults of the sources.
    """
    if sources and is_package_name(guide) and not (packages / guide).is_dir():
        from converter.fhir.drafts import draft_closure
        from converter.fhir.guides import find_guide

        draft = find_guide(guide, sources)
        if draft is not None:
            return _Builder(draft_closure(draft, packages)).build()
    coming = read_closure(f"{guide.partition('#')[0]}#{preview}", packages) if preview else None
    return _Builder(read_closure(guide, packages), coming).build()


def write_pack(pack: Pack, path: Path) -> None:
    """Write a pack as compact JSON with sorted keys, its head first; gzip without time stamp if the name ends so."""
    body = orjson.dumps(pack, option=orjson.OPT_SORT_KEYS)
    content = _HEAD + orjson.dumps(head_of(pack), option=orjson.OPT_SORT_KEYS) + b"," + body[1:]
    if path.suffix == ".gz":
        content = gzip.compress(content, 9, mtime=0)
    path.write_bytes(content)


def head_of(pack: Pack) -> dict[str, Any]:
    """What one must know of a pack to choose it: `{guide, profiles}`, the guide's own profiles with their versions."""
    own = sorted(key for key, facts in pack["profiles"].items() if facts.get("own"))
    return {"guide": pack["guide"], "profiles": {k.partition("|")[0]: k.rpartition("|")[2] for k in own}}


def read_head(path: Path) -> dict[str, Any]:
    """The head of a pack file, without reading the pack where the head comes first. Raises ProfileError."""
    try:
        start = path.read_bytes() if path.suffix == ".gz" else b""
        text = zlib.decompressobj(wbits=31).decompress(start, _HEAD_BYTES) if start else path.read_bytes()[:_HEAD_BYTES]
        if text.startswith(_HEAD):
            head, _ = json.JSONDecoder().raw_decode(text.decode("utf-8", "ignore"), len(_HEAD))
            return dict(head)
    except (OSError, ValueError, zlib.error) as error:
        raise ProfileError(f"{path} is not a readable pack") from error
    return head_of(read_pack(path))


def read_pack(path: Path) -> Pack:
    """Read what `write_pack` wrote. Raises ProfileError if it is missing, damaged or of another format."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        pack = orjson.loads(content)
    except (OSError, EOFError, ValueError) as error:
        raise ProfileError(f"{path} is not a readable pack") from error
    if not isinstance(pack, dict) or pack.get("pack") != FORMAT:
        raise ProfileError(f"{path} is not a pack of format {FORMAT}; build it again with `profiles pack`")
    pack.pop("head", None)
    return pack


def pack_name(guide: str) -> str:
    """The file name of a guide's pack."""
    return guide.replace("#", "-") + ".json.gz"


def pack_command(
    guide: str, packages: Path | None, out: Path | None, sources: Path | None = None, preview: str = ""
) -> Path:
    """What `medcom-fhir profiles pack` does: build, write to `out` (default: the current folder), return the path."""
    pack = build_pack(guide, packages or DEFAULT_FOLDER, sources, preview)
    path = out or Path(pack_name(guide))
    if path.is_dir():
        path = path / pack_name(guide)
    try:
        write_pack(pack, path)
    except OSError as error:
        raise ProfileError(f"{path} cannot be written: {error.strerror}") from error
    return path


def list_packs(folder: Path) -> list[dict[str, Any]]:
    """What `medcom-fhir profiles list` shows: one row a pack, sorted by file name.

    `{file, guide, profiles, elements, valuesets, bundles, sources}`; `bundles` are the guide's own Bundle profiles. A
    file that is no pack gives `{file, error}`.
    """
    rows: list[dict[str, Any]] = []
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")]):
        try:
            pack = read_pack(path)
        except ProfileError as error:
            rows.append({"file": path.name, "error": str(error)})
            continue
        profiles = pack["profiles"]
        rows.append(
            {
                "file": path.name,
                "guide": pack["guide"],
                "profiles": len(profiles),
                "elements": sum(len(p["elements"]) for p in profiles.values()),
                "valuesets": len(pack["valuesets"]),
                "bundles": sorted(u for u, p in profiles.items() if is_message(p)),
                "sources": [s["name"] for s in pack["sources"]],
            }
        )
    return rows


def is_message(profile: dict[str, Any]) -> bool:
    """Whether a profile of the guide itself is one that messages are judged by."""
    return bool(profile["type"] == "Bundle" and profile.get("own") and not profile.get("abstract"))


class _Builder:
    """Collects the reachable definitions of one closure and turns them into facts."""

    def __init__(self, closure: Closure, coming: Closure | None = None) -> None:
        self.closure = closure
        self.coming = coming
        self.reached: dict[str, Definition] = {}
        self.rules: list[dict[str, Any]] = []
        self._rule_numbers: dict[tuple[str, str, str], int] = {}
        self.value_sets: dict[str, dict[str, Any]] = {}
        self._expansions: dict[str, dict[str, Any]] = {}

    def build(self) -> Pack:
        own = self.closure.own()
        if not own:
            raise ProfileError(f"{self.closure.guide} holds no StructureDefinitions")
        self._reach([_key(d) for d in own] + [BASE + name for name in ALWAYS])
        self._reach(self._claimable())
        self._reach([_key(d) for d in self.closure.of_kind("StructureDefinition") if self._extension_fits(d)])
        profiles = {key: self._facts(d) for key, d in sorted(self.reached.items())}
        for definition in own:
            profiles[_key(definition)]["own"] = True
            self._preview(definition, profiles[_key(definition)]["elements"])
        used = {self.closure.home(d).name for d in self.reached.values()}
        return {
            "pack": FORMAT,
            "guide": self.closure.guide,
            "sources": [
                {"name": p.name, "licence": p.licence}
                for p in self.closure.packages
                if p.name in used or ".terminology#" in p.name
            ],
            "missing": sorted(self.closure.missing),
            "resources": self._resources(),
            "profiles": profiles,
            "canonical": self._canonicals(),
            "systems": self._systems(),
            "valuesets": dict(sorted(self.value_sets.items())),
            "rules": self.rules,
        }

    def _systems(self) -> dict[str, dict[str, list[str]]]:
        """The guide's own code systems, code -> displays. HL7's are large; bindings bring what is needed of them."""
        home = self.closure.home
        systems = [d for d in self.closure.of_kind("CodeSystem") if not home(d).name.startswith(R4)]
        return {d["url"]: concepts(d) for d in systems if d.get("content") == "complete"}

    def _resources(self) -> list[str]:
        """The names of all resource types of FHIR, also those that the pack does not hold."""
        every = self.closure.of_kind("StructureDefinition")
        return sorted(d["type"] for d in every if d["kind"] == "resource" and d.get("derivation") == "specialization")

    def _canonicals(self) -> dict[str, str]:
        """url -> the version that an unversioned reference means."""
        names: dict[str, str] = {}
        for key in self.reached:
            url = key.partition("|")[0]
            meant = self.closure.find(url)
            names[url] = _key(meant) if meant and _key(meant) in self.reached else key
        return dict(sorted(names.items()))

    def _claimable(self) -> list[str]:
        """Profiles that resources of a message may claim although nothing of the guide names them."""
        types = {d["type"] for d in self.reached.values()}
        return [
            _key(d)
            for d in self.closure.of_kind("StructureDefinition")
            if d["kind"] == "resource"
            and d.get("derivation") == "constraint"
            and d["type"] in types
            and not self.closure.home(d).name.startswith(R4)
        ]

    def _reach(self, start: list[str]) -> None:
        waiting = deque(start)
        while waiting:
            definition = self.closure.find(waiting.popleft())
            if definition is None or definition["resourceType"] != "StructureDefinition":
                continue
            key = _key(definition)
            if key in self.reached or definition["kind"] in ("primitive-type", "logical"):
                continue
            if "snapshot" not in definition:
                raise ProfileError(f"{key} has no snapshot; only packages with snapshots can be compiled")
            self.reached[key] = definition
            waiting.extend(self._neighbours(definition))

    def _neighbours(self, definition: Definition) -> list[str]:
        """What a definition needs. The targets of HL7's own definitions are not followed: they lead everywhere."""
        found = []
        foreign = not self.closure.home(definition).name.startswith(R4)
        if foreign and "baseDefinition" in definition:
            found.append(definition["baseDefinition"])
        found.append(BASE + definition["type"])
        for element in definition["snapshot"]["element"]:
            found.extend(url for c in element.get("constraint", []) for url in _asked(c, "conformsTo"))
            for kind in element.get("type", []):
                if not kind["code"].startswith("http:"):
                    found.append(BASE + kind["code"])
                found.extend(kind.get("profile", []))
                if foreign and kind["code"] == "Reference":
                    found.extend(kind.get("targetProfile", []))
        return found

    def _extension_fits(self, definition: Definition) -> bool:
        """Whether an extension may stand on something that the pack holds."""
        if definition["type"] != "Extension" or definition.get("derivation") != "constraint":
            return False
        if not self.closure.home(definition).name.startswith(R4):
            return True
        if definition["id"].startswith(NARROW):
            return False
        types = {d["type"] for d in self.reached.values()}
        heads = {c["expression"].partition(".")[0] for c in definition.get("context", [])}
        return not heads.isdisjoint(types)

    def _facts(self, definition: Definition) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "name": definition["id"],
            "type": definition["type"],
            "kind": definition["kind"],
            "elements": [self._element(e, definition) for e in definition["snapshot"]["element"]],
        }
        if definition.get("derivation") == "constraint" and "baseDefinition" in definition:
            base = self.closure.find(definition["baseDefinition"])
            facts["base"] = _key(base) if base else definition["baseDefinition"]
        if definition.get("abstract"):
            facts["abstract"] = True
        if definition["type"] == "Extension" and "context" in definition:
            facts["context"] = sorted([c["type"], c["expression"]] for c in definition["context"])
        if definition["snapshot"]["element"][0].get("isModifier"):
            facts["modifier"] = True
        return facts

    def _element(self, element: dict[str, Any], definition: Definition) -> dict[str, Any]:
        facts: dict[str, Any] = {"id": element.get("id", element["path"])}
        if element["min"]:
            facts["min"] = element["min"]
        if element["max"] != "1":
            facts["max"] = None if element["max"] == "*" else int(element["max"])
        if element.get("base", {}).get("max", element["max"]) not in ("0", "1"):
            facts["list"] = True
        types = [self._type(t, element["path"], definition) for t in element.get("type", [])]
        if types:
            facts["types"] = types
        for name, value in element.items():
            if name.startswith("fixed"):
                facts["fixed"] = value
            elif name.startswith("pattern"):
                facts["pattern"] = value
            elif name.startswith(("minValue", "maxValue")):
                facts[name[:3] + "Value"] = value
        if "maxLength" in element:
            facts["length"] = element["maxLength"]
        if "contentReference" in element:
            facts["content"] = element["contentReference"].rpartition("#")[2]
        if "sliceName" in element:
            facts["slice"] = element["sliceName"]
        self._slicing(element, facts)
        self._binding(element, facts)
        rules = [self._rule(c) for c in element.get("constraint", []) if self._stays(c, element, definition)]
        if rules:
            facts["rules"] = rules
        if any(_in_narrative(e) for e in element.get("extension", [])):
            facts["narrative"] = True
        return facts

    def _type(self, kind: dict[str, Any], path: str, definition: Definition) -> Any:
        code = kind["code"]
        if code.startswith("http:"):
            # System types name the FHIR type in an extension; R4 says `string` for Resource.id, which is an id.
            code = next((e["valueUrl"] for e in kind.get("extension", []) if e["url"] == FHIR_TYPE), "string")
            code = "id" if definition["kind"] == "resource" and path == f"{definition['type']}.id" else code
        facts: dict[str, Any] = {"code": code}
        if "profile" in kind:
            facts["profiles"] = [self._resolve(u) for u in kind["profile"]]
        if "targetProfile" in kind and code == "Reference":
            facts["targets"] = [self._resolve(u) for u in kind["targetProfile"]]
        if "aggregation" in kind:
            facts["aggregation"] = kind["aggregation"]
        return code if len(facts) == 1 else facts

    def _resolve(self, canonical: str) -> str:
        definition = self.closure.find(canonical)
        return _key(definition) if definition else canonical

    def _slicing(self, element: dict[str, Any], facts: dict[str, Any]) -> None:
        slicing = element.get("slicing")
        if slicing:
            facts["slicing"] = {
                "by": [[d["type"], d["path"]] for d in slicing.get("discriminator", [])],
                "rules": slicing["rules"],
            }
            if slicing.get("ordered"):
                facts["slicing"]["ordered"] = True

    def _binding(self, element: dict[str, Any], facts: dict[str, Any]) -> None:
        """What must be met, and what is advice, if all its codes are known: else nothing could be said about a code.

        HL7's own lists of advice and long ones are left out: they are made for the whole world.
        """
        binding = element.get("binding", {})
        most = next((e["valueCanonical"] for e in binding.get("extension", []) if e["url"] == MAX_VALUE_SET), None)
        wanted, strength = binding.get("valueSet"), binding.get("strength")
        if wanted and strength == "required":
            facts["binding"] = self._value_set(wanted)
        elif most and self.closure.find(most):
            facts["binding"] = self._value_set(most)
        value_set = self.closure.find(wanted) if strength in ("extensible", "preferred") else None
        if value_set is None or self._foreign(value_set):
            return
        known = self._expanded(_key(value_set))
        if "unknown" not in known and sum(map(len, known["codes"].values())) <= MOST_ADVICE:
            facts["advice"] = [strength, self._value_set(wanted)]

    def _foreign(self, definition: Definition) -> bool:
        """Whether a definition is HL7's own."""
        return self.closure.home(definition).name.startswith(R4)

    def _value_set(self, canonical: str) -> str:
        """The key of a value set, which is packed."""
        found = self.closure.find(canonical)
        key = _key(found) if found else canonical
        self.value_sets[key] = self._expanded(key)
        return key

    def _expanded(self, key: str) -> dict[str, Any]:
        if key not in self._expansions:
            self._expansions[key] = expand(key, self.closure).facts()
        return self._expansions[key]

    def _preview(self, definition: Definition, elements: list[dict[str, Any]]) -> None:
        """Add the rules that the coming version of a profile has on the same elements, as warnings."""
        later = self.coming.find(definition["url"]) if self.coming else None
        if self.coming is None or later is None:
            return
        known = {e["id"]: {c.get("expression") for c in e.get("constraint", [])} for e in _elements(definition)}
        facts = {e["id"]: e for e in elements}
        version = self.coming.guide.partition("#")[2]
        for element in _elements(later):
            for constraint in element.get("constraint", []):
                wanted = known.get(element["id"])
                if wanted is not None and constraint.get("expression", None) not in {None, *wanted}:
                    rule = {**constraint, "key": f"{constraint['key']}@{version}", "severity": "warning"}
                    facts[element["id"]].setdefault("rules", []).append(self._rule(rule))

    def _stays(self, constraint: dict[str, Any], element: dict[str, Any], definition: Definition) -> bool:
        """Whether a rule belongs in the table at this element."""
        if "expression" not in constraint or constraint["key"] in EVERYWHERE:
            return False
        # ext-1 is repeated wherever an extension may stand; it is the Extension's own rule.
        at_home = definition["type"] == "Extension" and element["path"] == "Extension"
        return at_home or bool(constraint["key"] != "ext-1")

    def _rule(self, constraint: dict[str, Any]) -> int:
        # Only building packs needs a parser: what runs from a pack does not even load it.
        from converter.fhir.expressions import digest, parse

        identity = (constraint["key"], constraint["expression"], constraint["severity"])
        if identity not in self._rule_numbers:
            tree = parse(constraint["expression"])
            self._rule_numbers[identity] = len(self.rules)
            for url in _asked(constraint, "memberOf"):
                value_set = self.closure.find(url)
                if value_set is not None and _key(value_set) not in self.value_sets:
                    self.value_sets[_key(value_set)] = expand(_key(value_set), self.closure).facts()
            self.rules.append(
                {"key": identity[0], "severity": identity[2], "tree": tree, "digest": digest(tree)},
            )
        return self._rule_numbers[identity]


def _elements(definition: Definition) -> list[dict[str, Any]]:
    return list(definition["snapshot"]["element"])


def _key(definition: Definition) -> str:
    return f"{definition['url']}|{definition.get('version', '')}"


def _asked(constraint: dict[str, Any], function: str) -> list[str]:
    """The canonical URLs that a rule gives to a function."""
    return re.findall(rf"\b{function}\(\s*'([^']+)'\s*\)", constraint.get("expression", ""))


def _in_narrative(extension: dict[str, Any]) -> bool:
    """Whether an obligation asks that the element is shown in the narrative."""
    return extension.get("url") == OBLIGATION and any(
        e.get("url") == "code" and e.get("valueCode") == "SHALL:in-narrative" for e in extension.get("extension", [])
    )

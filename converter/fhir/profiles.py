"""The profile validator: packs of facts, compiled to Python when a profile is first used.

    pack = Pack.load(Path("mappings/profiles/medcom.fhir.dk.carecommunication-5.0.2.json.gz"))
    pack.profile(url).validate(bundle, log, file="letter.json")

Findings are issues of the families PRO and NCK: `at.path` and `target` are the JSON pointer, `rule` is the profile, the
element and the invariant's key. One fault is reported once, where it is, not at every reference that leads there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from converter.fhir.compiler import Compiler, Function
from converter.fhir.elements import Node, tree
from converter.fhir.fhirpath.model import Model
from converter.fhir.fhirpath.rules import Rule
from converter.fhir.packs import BASE, is_message, read_pack
from converter.fhir.quick import Answer, Quick
from converter.fhir.rules import bundles, datatypes, identifiers, resources
from converter.fhir.rules.binding import Codes, Known
from converter.fhir.rules.primitives import LONGEST, holds_long, right_primitive
from converter.fhir.rules.slicing import Matcher, matcher_of
from converter.fhir.run import TOO_DEEP, Exact, Run
from converter.issues import IssueLog

NATIVE_RULES = (bundles, datatypes, identifiers)  # importing them registers their invariants


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile of a pack."""

    pack: Pack
    key: str

    @property
    def url(self) -> str:
        """Its canonical URL without version."""
        return self.key.partition("|")[0]

    @property
    def version(self) -> str:
        """Its business version."""
        return self.key.rpartition("|")[2]

    @property
    def source(self) -> str:
        """The generated Python source."""
        return self.pack.compiled(self.key).source.text()

    def validate(self, resource: Any, log: IssueLog, *, file: str = "", size: int = LONGEST + 1) -> None:
        """Judge a resource by this profile, by the profiles it claims, and by what references demand of its entries.

        `resource` is parsed JSON with exact decimals; `size` its bytes, if they are known: in few, no text need be
        looked for that is too long. Findings go to `log`; nothing is raised for a faulty resource.
        """
        root = resource if isinstance(resource, dict) else {}
        run = Exact(self.pack, root) if size > LONGEST and holds_long(root) else Run(self.pack, root)
        try:
            self._run(resource, run)
        except RecursionError:
            run.add(TOO_DEEP, "", resources.ANYWHERE)
        run.report(log, file)

    def _run(self, resource: Any, run: Run) -> None:
        wanted = self.pack.profile_facts(self.key)["type"]
        if not resources.typed(resource, "", run, wanted):
            return
        root = run.current
        if wanted != "Bundle":
            run.entries.append(root)
        elif not bundles.index_plainly(run):
            bundles.index_entries(run)
        run.want(root, self.key)
        resources.ask_claimed([root], run)
        if wanted == "Bundle" and not run.plain:
            resources.ask_claimed(run.entries, run)
        run.work()
        if wanted == "Bundle":
            bundles.check_reachable(run)


class Pack:
    """A compiled pack: look-ups of profiles, value sets and their generated functions."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        self.guide: str = facts["guide"]
        self.sources: list[dict[str, str]] = facts["sources"]
        self.rules: list[dict[str, Any]] = facts["rules"]
        self.systems: dict[str, dict[str, list[str]]] = facts["systems"]
        self._profiles: dict[str, dict[str, Any]] = facts["profiles"]
        self._canonical: dict[str, str] = facts["canonical"]
        self._compiled: dict[str, Compiler] = {}
        self._functions: dict[str, Function] = {}
        self.quick_profiles: dict[str, Answer] = {}
        self.codings = Known()  # found plain, whatever element they were in
        self.claims: dict[str, tuple[str, str, tuple[str, ...], str]] = {}
        self.bases: set[str] = set()
        self._extension_functions: dict[str, Function] = {}
        self._trees: dict[str, Node] = {}
        self._codes: dict[str, Codes] = {}
        self._ancestors: dict[str, frozenset[str]] = {}
        self.path_rules: dict[tuple[str, str], Rule | None] = {}
        self._matchers: dict[tuple[str, str], Matcher | None] = {}

    @classmethod
    def load(cls, path: Path) -> Pack:
        """Read a pack file. Raises ProfileError if it is missing, damaged or of another format."""
        return cls(read_pack(path))

    def knowing(self, systems: Mapping[str, dict[str, list[str]]]) -> Pack:
        """The same pack with code systems more (system -> code -> displays); those that it has stay as they are."""
        return Pack({**self._facts, "systems": {**systems, **self.systems}})

    def profile(self, url: str) -> Profile | None:
        """The profile with this URL (`url` or `url|version`), None if the pack does not hold it in that version."""
        key = self.exact(url)
        return Profile(self, key) if key else None

    def bundle_profiles(self) -> list[str]:
        """The guide's own Bundle profiles: what a message of the guide is validated against."""
        return sorted(k.partition("|")[0] for k, f in self._profiles.items() if is_message(f))

    def exact(self, canonical: str) -> str | None:
        """`url|version` of a profile in just that version (without one: the guide's); None if it is not here."""
        return canonical if "|" in canonical and canonical in self._profiles else self._canonical.get(canonical)

    def claim(self, canonical: str) -> tuple[str, str]:
        """`url|version` and type of a profile that a resource claims; two empty texts if it is not here.

        What is here, and can be judged, is remembered in `claims`, with what is then wanted and how references start.
        """
        if canonical in self.claims:
            return self.claims[canonical][:2]
        key = self.exact(canonical)
        if key is None:
            return "", ""  # not remembered: messages could name any number of them
        claim = key, self._profiles[key]["type"]
        if canonical in self.uris and claim[1] in self.readable_types:
            self.claims[canonical] = *claim, (key,), claim[1] + "/"
        return claim

    def key(self, canonical: str) -> str:
        """`url|version` of a profile: the pinned version if it is here, else the guide's."""
        if canonical in self._profiles:
            return canonical
        return self._canonical[canonical.partition("|")[0]]

    def facts(self, canonical: str) -> dict[str, Any] | None:
        """What the pack says about a profile; None if it does not hold it."""
        url = canonical.partition("|")[0]
        return self._profiles[self.key(canonical)] if url in self._canonical else None

    def profile_facts(self, key: str) -> dict[str, Any]:
        """What the pack says about `url|version`."""
        return self._profiles[key]

    def base(self, code: str) -> str:
        """`url|version` of the base definition of a type; a URL without version if the pack does not hold it."""
        return self._canonical.get(BASE + code, BASE + code)

    def of_type(self, name: str) -> list[str]:
        """`url|version` of every profile of a type, its base definition included."""
        return [key for key, facts in self._profiles.items() if facts["type"] == name]

    def is_resource(self, name: str) -> bool:
        """Whether FHIR R4 has a resource of this name."""
        return name in self._resources

    @cached_property
    def readable(self) -> list[str]:
        """The resource types whose base definition the pack holds (a list: what is looked up may be unhashable)."""
        return [name for name in self._facts["resources"] if BASE + name in self._canonical]

    @cached_property
    def readable_types(self) -> frozenset[str]:
        """The same for names that are texts."""
        return frozenset(self.readable)

    @cached_property
    def _resources(self) -> frozenset[str]:
        return frozenset(self._facts["resources"])

    def tree(self, canonical: str) -> Node | None:
        """The element tree of a profile."""
        if self.facts(canonical) is None:
            return None
        key = self.key(canonical)
        if key not in self._trees:
            self._trees[key] = tree(self._profiles[key]["elements"])
        return self._trees[key]

    @cached_property
    def paths(self) -> Model:
        """The types of the pack as FHIRPath needs them."""
        return Model(lambda code: self.tree(self.base(code)), self._resources)

    def value_set(self, canonical: str) -> Codes | None:
        """An expanded value set by its URL, with or without version; None if it is not here."""
        known = self._facts["valuesets"]
        key = canonical if canonical in known else next((k for k in known if k.partition("|")[0] == canonical), None)
        return self.codes(key) if key else None

    def codes(self, key: str) -> Codes:
        """An expanded value set."""
        if key not in self._codes:
            self._codes[key] = Codes(key, self._facts["valuesets"][key])
        return self._codes[key]

    def matcher(self, key: str, node: Node) -> Matcher | None:
        """How items of a sliced element find their slice; None if a discriminator is beyond this validator."""
        if (key, node.id) not in self._matchers:
            self._matchers[key, node.id] = matcher_of(node, self)
        return self._matchers[key, node.id]

    def ancestors(self, key: str) -> frozenset[str]:
        """The profiles that a profile is derived from, the base definition of its type included."""
        if key not in self._ancestors:
            found = []
            at = self._profiles[key].get("base")
            while at in self._profiles and at not in found:
                found.append(at)
                at = self._profiles[at].get("base")
            # A chain that leaves the pack (HL7's own intermediate profiles) still ends in the type.
            self._ancestors[key] = frozenset({*found, self.base(self._profiles[key]["type"])} - {key})
        return self._ancestors[key]

    def compiled(self, key: str) -> Compiler:
        """The compiler of a profile after it ran."""
        if key not in self._compiled:
            compiler = Compiler(self, key)
            name = compiler.compile()
            self._compiled[key] = compiler
            self._functions[key] = compiler.names[name]
        return self._compiled[key]

    def function(self, key: str) -> Function:
        """The generated function of a profile."""
        if key not in self._functions:
            self.compiled(key)
        return self._functions[key]

    def quick(self, key: str) -> Answer:
        """The short way of a profile: whether a resource certainly breaks none of its rules.

        What was asked for is remembered in `quick_profiles`.
        """
        answer = self.quick_profiles.get(key)
        if answer is None:
            short = Quick(self, key)
            answer = self.quick_profiles[key] = short.names[short.compile()]
        return answer

    def type_function(self, code: str) -> Function:
        """The generated function of a type's base definition."""
        return self.function(self.base(code))

    def element_function(self, path: str) -> Function:
        """The generated function of an element of a base definition, such as `Bundle.link` (content references)."""
        compiler = self.compiled(self.base(path.partition(".")[0]))
        node = next(n for n in (compiler.root.walk() if compiler.root else ()) if n.id == path)
        return compiler.load(node)

    @cached_property
    def _extensions(self) -> dict[str, dict[str, Any]]:
        found = {}
        for key, facts in self._profiles.items():
            url = key.partition("|")[0]
            if facts["type"] == "Extension" and "base" in facts and self._canonical.get(url) == key:
                contexts = {e for t, e in facts.get("context", ()) if t == "element"}
                checkable = all(t == "element" for t, _ in facts.get("context", ()))
                found[url] = {
                    "key": key,
                    # "Element" is any element, resources included.
                    "contexts": frozenset(contexts) if contexts and checkable and "Element" not in contexts else None,
                    "modifier": facts.get("modifier", False),
                }
        return found

    def part_function(self, key: str) -> Function:
        """The function of a profile for parts of a faulty resource, most of which are certainly sound."""
        answer, exact = self.quick(key), self.function(key)

        def judge(value: Any, pointer: str, run: Run) -> None:
            if run.seconds:
                run.seconds -= 1
                if run.certain(answer, value, run.current):
                    return
            exact(value, pointer, run)

        return judge

    def extension(self, url: str) -> Function | None:
        """The function of the extension with this URL; None if no package of the guide defines it."""
        function = self._extension_functions.get(url)
        if function is None and url in self._extensions:
            function = self._extension_functions[url] = self.part_function(self._extensions[url]["key"])
        return function

    def quick_extension(self, url: str) -> Answer | None:
        """The short way of the extension with this URL; None if no package of the guide defines it."""
        return self.quick(self._extensions[url]["key"]) if self.knows_extension(url) else None

    def knows_extension(self, url: str) -> bool:
        """Whether a package of the guide defines the extension with this URL."""
        return url in self._extensions

    @cached_property
    def uris(self) -> frozenset[str]:
        """URIs that messages of the guide are full of: of profiles, code systems and identifier systems."""
        elements = (e for f in self._profiles.values() for e in f["elements"] if e.get("types") == ["uri"])
        fixed = {e[k] for e in elements for k in ("fixed", "pattern") if isinstance(e.get(k), str)}
        return frozenset(
            u for u in {*self._canonical, *self._profiles, *self.systems, *fixed} if right_primitive(u, "uri")
        )

    @cached_property
    def absent_extensions(self) -> frozenset[str]:
        """URLs of extensions that profiles of the pack name although no package defines them."""
        kinds = (t for f in self._profiles.values() for e in f["elements"] for t in e.get("types", ()))
        named = (p for t in kinds if isinstance(t, dict) and t["code"] == "Extension" for p in t.get("profiles", ()))
        return frozenset(p.partition("|")[0] for p in named if self.facts(p) is None)

    def extension_facts(self, url: str) -> dict[str, Any]:
        """`{key, contexts, modifier}` of a known extension; contexts None: anywhere, or not computable."""
        return self._extensions[url]

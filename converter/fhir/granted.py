"""What the short way of the validator may take for granted of an element, and in which order it asks for elements.

Nothing here looks at a value: each answer follows from the element table, and holds for all resources of a profile.
"""

from __future__ import annotations

from converter.fhir.compiler import Functions
from converter.fhir.elements import ABSENT, RESOURCES, Node, Type
from converter.fhir.rules import bundles, choices, identifiers, invariants, values

PLACES = frozenset({"definition", "endpoint", "system"})  # URIs that say nothing of a person
# In the order in which they are asked for: what letters make, what is nearly always there first.
OFTEN = (
    *("id", "meta", "status", "system", "value", "coding", "display", "use", "name", "family", "given"),
    *("line", "city", "postalCode", "topic", "entry", "subject", "address", "encounter", "code"),
    *("practitioner", "authoredOn", "requester", "custodian", "contentType", "title", "size", "url"),
    *("description", "identifier", "recorded", "activity", "type", "text", "serviceType", "diagnosis"),
    *("reasonCode", "supportingInfo", "performer", "individual", "relationship", "organization", "specialty"),
    *("format", "focus", "serviceProvider", "extension", "telecom", "period", "start", "end", "basedOn"),
    *("responsible", "participant", "recordedDate", "episodeOfCare", "effective[x]", "deceased[x]"),
    *("performed[x]", "attester", "time", "orderDetail", "hospitalization", "priority", "note", "district"),
    *("role", "assigner", "profile"),
)
SELDOM = frozenset({"implicitRules", "language", "modifierExtension"})


class Granted(Functions):
    """The functions of one profile, with what is known of its elements before any value is."""

    def _seen(self, node: Node) -> bool:
        """Whether a look at each entry of a bare Bundle shows no more than its index has seen."""
        if node.id != "Bundle.entry" or node.slices or self.type != "Bundle":
            return False
        rules = {(rule["key"], rule["digest"]) for rule, _, _ in self.certain_checks(node) or ()}
        return rules <= bundles.KEPT_BY_BARE and all(map(self._seen_part, node.children.values()))

    def _seen_part(self, node: Node) -> bool:
        # What is neither is not in a bare entry.
        return self._asks_nothing(node) if node.name in ("fullUrl", "resource") else not must(node)

    def _seen_in_index(self, node: Node, parent: Node) -> bool:
        """Whether a look at an element of an entry's resource shows no more than the index of a plain Bundle has seen.

        Nobody has looked at what the Bundle that is validated has of these.
        """
        if not self.resource or parent is not self.root or self.type == "Bundle":
            return False
        if node.name == "text":
            return self._asks_nothing(node) and all(map(self._seen_in_text, node.children.values()))
        return node.name in ("id", "meta") and self._asks_nothing(node) and not node.children

    def _seen_in_text(self, node: Node) -> bool:
        if node.name == "status":
            known = not node.binding or "generated" in self.pack.codes(node.binding).flat
            said = {"generated"} >= {v for v in (node.fixed, node.pattern) if v is not ABSENT}
            return known and said and not node.advice and node.length is None and self.certain_checks(node) == []
        return self._asks_nothing(node) if node.name == "div" else not must(node)

    def _asks_nothing(self, node: Node) -> bool:
        """Whether an element that is not sliced asks for no more than its type."""
        plain = (
            self.certain_checks(node) == [] and node.fixed is ABSENT and node.pattern is ABSENT and node.length is None
        )
        bound = node.binding or node.advice or values.limited(node.least, node.most)
        return plain and not bound and node.max != 0 and not any(t.profiles for t in node.types)

    def _only_text(self, node: Node) -> bool:
        """Whether an element asks for no more than one text."""
        said = isinstance(node.fixed, str) != isinstance(node.pattern, str)
        return said and self.certain_checks(node) == [] and node.length is None and not node.many

    def _names_place(self, node: Node, kind: Type) -> bool:
        said = isinstance(node.fixed, str) or isinstance(node.pattern, str)
        uri = node.name in PLACES and kind.code in ("uri", "url", "canonical")
        return uri and not said and not self._around(node)

    def _numbers_organisations(self, node: Node) -> bool:
        """Whether a list has slices for organisations' numbers, and the verdict on it depends on nothing but itself."""
        matcher, parts = self._matcher(node), (node, *node.slices.values())
        kinds = [t for part in parts for t in part.types]
        if not matcher or matcher.property != "system" or any(kind.code != "Identifier" for kind in kinds):
            return False
        trees = filter(None, (self.pack.tree(u) for t in kinds for u in (*t.profiles, self.pack.base(t.code))))
        said = identifiers.ORGANISATIONS.intersection(matcher.table)
        return bool(said) and not self._around(node, *trees)

    def _around(self, *nodes: Node) -> bool:
        """Whether a rule of elements, or of what is in them, asks for more than they are."""
        return any(invariants.looks_around(self.pack.rules[n]) for node in nodes for p in node.walk() for n in p.rules)

    def _asks_itself(self, node: Node, kind: Type) -> bool:
        """Whether an Identifier can be an organisation's, and the verdict on it depends on nothing but its texts."""
        asked = (self.pack.tree(url) for url in (*kind.profiles, self.pack.base(kind.code)))
        trees = [node, *(tree for tree in asked if tree)]
        systems = (tree.children["system"] for tree in trees if "system" in tree.children)
        said = {v for system in systems for v in (system.fixed, system.pattern) if v is not ABSENT}
        more = {child.name for tree in trees for child in tree.children.values() if must(child)} - {"system", "value"}
        return said <= identifiers.ORGANISATIONS and not more and not self._around(*trees)

    def _asks_texts(self, node: Node, kind: Type) -> bool:
        """Whether the verdict on an element and what is in it depends on nothing but their own texts."""
        base = self.pack.tree(self.pack.base(kind.code))
        if base is None or any(n.rules for n in base.walk()) or any(self.pack.facts(p) for p in kind.profiles):
            return False
        texts = (n for n in node.walk() if not n.types or n.types[0].code not in ("Extension", "Reference"))
        return all(self.certain_checks(n, kind.code if n is node else "") == [] for n in texts)


def of_objects(node: Node) -> bool:
    """Whether what is no object cannot pass for an item of a list: the look at an item then refuses it."""
    return bool(node.types) and not any(t.primitive or t.code in RESOURCES for t in node.types)


def must(node: Node) -> bool:
    return bool(node.min) or any(part.min for part in node.slices.values())


def of_one_type(node: Node) -> bool:
    """Whether an element that must be there is a choice of one type only."""
    if not node.choice or not node.min or len(node.names()) != 1:
        return False
    return not node.slicing or choices.slices_by_type(node).keys() == {t.code for t in node.names().values()}


def rank(node: Node) -> int:
    """What must be there first, what is nearly never there last: the search ends with the last property."""
    if must(node):
        return -1
    return OFTEN.index(node.name) if node.name in OFTEN else len(OFTEN) + (node.name in SELDOM)

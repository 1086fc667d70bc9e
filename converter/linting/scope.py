"""What the checks of one mapping share: the document, its letter, its profiles, and how findings are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from converter.issues import IssueKind, IssueLog, Location
from converter.linting.letters import LetterFacts, bare
from converter.linting.shapes import Place, Shapes
from converter.mapping.codes import CodeMap, Loss
from converter.mapping.document import Derived, Document, Each, Refs, Resource, Rule


@dataclass(frozen=True, slots=True)
class Written:
    """A rule with what it belongs to: the resource (None for the Bundle), and the list whose items it fills."""

    rule: Rule
    name: str
    resource: Resource | None = None
    each: Each | None = None

    @property
    def group(self) -> str:
        """The letter group that the rule is repeated over."""
        return self.each.group if self.each else self.resource.each if self.resource else ""


@dataclass(slots=True)
class Scope:
    """One mapping under check. `letters` and `shapes` are None where they cannot be had; then less is checked.

    `judged` are the guards that were looked at: one in a shared part is at fault only if it is wherever it is applied.
    """

    document: Document
    codes: Mapping[str, CodeMap]
    losses: Mapping[str, Loss]
    letters: LetterFacts | None
    shapes: Shapes | None
    log: IssueLog = field(default_factory=IssueLog)
    domains: dict[tuple[str, str], list[tuple[str, dict[str, None]]]] = field(default_factory=dict)
    judged: set[tuple[str, Location]] = field(default_factory=set)

    def add(
        self, kind: IssueKind, at: Location, *, rule: str = "", letter: str = "", element: str = "", **facts: object
    ) -> None:
        """Note a finding with the letter path and the profile element that it is about."""
        name = f"{self.document.name}.{rule}" if rule else self.document.name
        told: dict[str, Any] = {"element": element, "letter": letter, **facts}
        where = replace(at, path=bare(letter)) if letter else at
        self.log.add(kind, where, target=element, rule=name, **told)

    def rules(self) -> Iterator[Written]:
        """Every rule that the way there uses, lists included, in the order of the file."""
        for rule in self.document.bundle_rules:
            yield Written(rule, f"bundle.{rule.name}")
        for resource in self.document.resources.values():
            for one in resource.rules:
                if isinstance(one, Rule):
                    yield Written(one, f"{resource.name}.{one.name}", resource)
                elif isinstance(one, Each):
                    for rule in one.rules:
                        yield Written(rule, f"{resource.name}.{one.name}.{rule.name}", resource, one)

    def lists(self) -> Iterator[tuple[Resource, Each | Derived | Refs]]:
        """Every list with the resource that it stands in."""
        for resource in self.document.resources.values():
            yield from ((resource, one) for one in resource.rules if not isinstance(one, Rule))

    def every_rule(self) -> Iterator[Written]:
        """Those of `rules`, and those of the way back alone."""
        yield from self.rules()
        yield from (Written(rule, f"back.{rule.name}") for rule in self.document.back_rules)

    @property
    def bundle(self) -> Place | None:
        """The Bundle itself."""
        return self.shapes.root(self.document.bundle, "Bundle") if self.shapes else None

    def resource(self, name: str) -> Place | None:
        """A resource of the mapping by its name."""
        found = self.document.resources[name]
        return self.shapes.root(found.profile, found.type) if self.shapes else None

"""Where an expression is evaluated: its resource, its types, and what it may ask of the world around it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from converter.fhir.fhirpath.model import Kind, Model
from converter.fhir.fhirpath.values import Item, Items, Undecided


class Scope:
    """One evaluation. The validator answers the questions for its Bundle; alone, nothing lies outside the resource.

    `resource` is the innermost resource, `root` the one that contains it. Strictly (`strict`), what FHIRPath forbids is
    an error; the rules of FHIR were written for engines that are not strict.
    """

    __slots__ = ()
    strict: bool = False

    @property
    def model(self) -> Model:
        """The types."""
        raise NotImplementedError

    @property
    def resource(self) -> Any:
        """`%resource`"""
        raise NotImplementedError

    @property
    def root(self) -> Any:
        """`%rootResource`"""
        return self.resource

    def item(self, value: Any, kind: str = "") -> Item:
        """JSON as an item; a resource brings its type along."""
        return Item(value, self.kind_of(value, kind))

    def kind_of(self, value: Any, kind: str) -> Kind:
        """The type of a value whose element has this type."""
        if value.__class__ is dict and kind in ("", "Resource", "DomainResource"):
            named = value.get("resourceType")
            if isinstance(named, str):
                return self.model.kind(named)
        return self.model.kind(kind)

    def now(self) -> datetime:
        """The time of evaluation."""
        return datetime.now(UTC)

    def resolve(self, reference: str) -> dict[str, Any] | None:
        """The resource that a reference leads to, as far as it is at hand."""
        if reference == "#":
            return self.root if isinstance(self.root, dict) else None
        if reference.startswith("#") and isinstance(self.root, dict):
            contained = self.root.get("contained")
            for resource in contained if isinstance(contained, list) else ():
                if isinstance(resource, dict) and resource.get("id") == reference[1:]:
                    return resource
        return None

    def typed(self, bundle: dict[str, Any], kind: str) -> list[Any]:
        """The resources of one type in a Bundle."""
        found = (part.get("resource") for part in bundle.get("entry", ()))
        return [r for r in found if r is not None and r.get("resourceType") == kind]

    def undecided(self, what: str) -> bool:
        """What a rule counts as if it cannot be decided here."""
        return True

    def conforms(self, item: Any, canonical: str) -> bool:
        """Whether an item meets a profile. Raises Undecided if the profile is not at hand."""
        raise Undecided(canonical)

    def member(self, items: Items, canonical: str) -> bool:
        """Whether coded items are in a value set. Raises Undecided if it is not at hand."""
        raise Undecided(canonical)


class Alone(Scope):
    """A resource by itself."""

    __slots__ = ("_model", "_resource", "strict")

    def __init__(self, model: Model, resource: Any, *, strict: bool = False) -> None:
        self._model = model
        self._resource = resource
        self.strict = strict

    @property
    def model(self) -> Model:
        """The types."""
        return self._model

    @property
    def resource(self) -> Any:
        """`%resource`"""
        return self._resource

"""The peer for mapping: a jinja2 template a case, derived from our own Bundle, rendered, and read by fhir.resources.

The templates are as cheap as templates can be: no conditions, no look-ups, and all values (identifiers computed from
hashes included) are handed to them ready-made. So the ratio to them is a lower bound.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from converter.ledger import Ledger
from converter.letter import Letter, plain

Leaves = dict[str, Any]


def leaves(node: object, pointer: str = "") -> Leaves:
    """Every primitive of a JSON document by its pointer."""
    if isinstance(node, Mapping):
        return {k: v for key, item in node.items() for k, v in leaves(item, f"{pointer}/{key}").items()}
    if isinstance(node, list):
        return {k: v for i, item in enumerate(node) for k, v in leaves(item, f"{pointer}/{i}").items()}
    return {pointer: node}


class Template:
    """The template of one case, and what of a message it needs."""

    def __init__(self, bundle: Mapping[str, Any], other: Mapping[str, Any], letter: Letter, ledger: Ledger) -> None:
        """`other` is the Bundle of another message of the same case: what differs is a variable."""
        mine, theirs = leaves(bundle), leaves(other)
        self.values = {
            e.target: e.leaf
            for e in ledger.entries
            if e.leaf in letter.values and mine.get(e.target) == plain(letter.values[e.leaf])
        }
        self.varying = [p for p in mine if mine[p] != theirs.get(p) and p not in self.values]
        numbered = {p: f"x[{i}]" for i, p in enumerate(self.varying)}
        expressions = numbered | {p: f"v[{leaf!r}]" for p, leaf in self.values.items()}
        marked = json.dumps(_marked(bundle, "", set(expressions)), ensure_ascii=False)
        for pointer, expression in expressions.items():
            marked = marked.replace(json.dumps(_mark(pointer)), f"⟦ {expression} | json ⟧")
        self.compiled = _environment().from_string(marked)

    def context(self, bundle: Mapping[str, Any], letter: Letter) -> dict[str, Any]:
        """The values to render a message of this case with."""
        mine = leaves(bundle)
        return {
            "v": {leaf: plain(letter.values[leaf]) for leaf in self.values.values()},
            "x": [mine[p] for p in self.varying],
        }

    def render(self, context: Mapping[str, Any]) -> str:
        """The Bundle as JSON text."""
        return self.compiled.render(context)


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        variable_start_string="⟦", variable_end_string="⟧", undefined=jinja2.StrictUndefined, autoescape=False
    )
    made.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return made


def _mark(pointer: str) -> str:
    return f"@@{pointer}@@"


def _marked(node: Any, pointer: str, wanted: set[str]) -> Any:
    if isinstance(node, Mapping):
        return {key: _marked(item, f"{pointer}/{key}", wanted) for key, item in node.items()}
    if isinstance(node, list):
        return [_marked(item, f"{pointer}/{i}", wanted) for i, item in enumerate(node)]
    return _mark(pointer) if pointer in wanted else node


def to_model(bundle: Mapping[str, Any]) -> Any:
    """fhir.resources' typed Bundle."""
    from fhir.resources.R4B.bundle import Bundle

    return Bundle.model_validate(bundle)


def chain(templates: Sequence[Template], contexts: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[str]:
    """Read with pydifact, render, read the JSON, build the model, write it."""
    from benchmarks.reading import peer_segments

    done = []
    for template, context, text in zip(templates, contexts, texts, strict=True):
        peer_segments(text)
        done.append(to_model(json.loads(template.render(context))).model_dump_json())
    return done

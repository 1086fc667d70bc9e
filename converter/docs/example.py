"""An example of a message type side by side: the letter as it travels and its FHIR message, value by value."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converter.engine import EDIFACT, Outcome
from converter.explain import explanation, section
from converter.issues import IssueLog
from converter.mapping import Mapping
from converter.rehearsal.examples import Example, examples
from converter.rehearsal.testing import Engines
from converter.sources import inputs

PREFERRED = "plain"
_END = re.compile(r"(?:\?.|[^+:'?])*", re.DOTALL)
_END_OF_TEXT = re.compile(r"(?:\?.|[^+'?])*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the letter as it travels; with links, it lights what it became; `first` does from the start."""

    text: str
    links: str = ""
    note: str = ""
    lights: bool = False
    first: bool = False


def side_by_side(engines: Engines, mapping: Mapping, root: Path) -> dict[str, Any] | None:
    """What the page shows of the plainest example: its name, the letter with its spans, the lines of both sides."""
    example = _chosen(examples(mapping.document, root, IssueLog()))
    if example is None:
        return None
    path, engine = example.inputs[0], engines.of(example)
    (item,) = inputs([str(path)], IssueLog())
    (outcome,) = engine.convert(item.data, name=item.display)
    if outcome.ledger is None or outcome.output is None:
        return None
    found = section(0, explanation(item, outcome, engine), show_values=True)
    found.update(name=example.name, spans=_spans(item.data, outcome, found) if outcome.syntax == EDIFACT else [])
    return found


def _chosen(found: list[Example]) -> Example | None:
    letters = [one for one in found if not one.from_fhir]
    named = [one for one in letters if one.name.endswith(f"/{PREFERRED}")]
    return next(iter([*named, *letters]), None)


def _spans(data: bytes, outcome: Outcome, found: dict[str, Any]) -> list[Span]:
    """The letter cut where its values stand. Values that share a component light together."""
    letter = outcome.letter
    assert letter is not None
    text = data.decode("latin-1")
    lines = {line.label: line for line in found["source"]}
    starts: dict[int, list[str]] = {}
    for leaf in letter.values:
        for at in letter.locate(leaf):
            if at.offset >= 0:
                starts.setdefault(at.offset, []).append(leaf)
    spans, done = [], 0
    for start, following in zip(sorted(starts), [*sorted(starts)[1:], len(text)], strict=True):
        formatted = any(not isinstance(letter.values[leaf], str) for leaf in starts[start])
        match = (_END_OF_TEXT if formatted else _END).match(text, start)
        end = min(match.end() if match else start, following)
        if start < done or end == start:
            continue
        here = [lines[leaf] for leaf in starts[start] if leaf in lines]
        links = " ".join(line.links for line in here if line.links)
        note = "; ".join(
            [", ".join(line.label for line in here), *dict.fromkeys(line.note for line in here if line.note)]
        )
        spans += [Span(text[done:start]), Span(text[start:end], links, note, lights=True)]
        done = end
    longest = max((one for one in spans if one.links), key=lambda one: len(one.text), default=None)
    return [replace(one, first=one is longest) for one in (*spans, Span(text[done:]))]

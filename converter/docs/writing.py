"""Writes the pages: one a letter type, and an index. Each page stands alone and works without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converter.docs.example import side_by_side
from converter.docs.facts import Facts
from converter.naming import Names
from converter.pages import digest, templates
from converter.rehearsal.testing import Engines

INDEX = "index.html"


def pages(engines: Engines, root: Path) -> Iterator[tuple[str, str]]:
    """Name and content of every page. Examples of mapping files count from `root`."""
    engine = engines.of_table(engines.table)
    environment, names = templates(), Names(engine.folder)
    every = [Facts(engine, names, _newest(engine.definitions, type_)) for type_ in sorted(engine.definitions.types)]
    for facts in every:
        # Of a mapped letter the version that is written, of others the newest.
        if facts.mapping is not None:
            written = engine.definitions.get(facts.type, facts.mapping.document.version)
            facts.definition = written or facts.definition
        example = side_by_side(engines, facts.mapping, root) if facts.mapping else None
        template = environment.get_template("docs/type.html.j2")
        yield f"{facts.type}.html", template.render(facts=facts, example=example, digest=digest, index=INDEX)
    yield INDEX, environment.get_template("docs/index.html.j2").render(every=every, digest=digest)


def _newest(definitions: Any, type_: str) -> Any:
    return definitions.get(type_, next(iter(definitions.types[type_])))

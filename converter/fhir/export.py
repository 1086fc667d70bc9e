"""A guide of ours as a FHIR package: the files that registries and other tools read.

Source: https://confluence.hl7.org/display/FHIR/NPM+Package+Specification. The same sources and packages give the same
bytes.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import orjson

from converter.errors import ProfileError
from converter.fhir.drafts import draft_closure
from converter.fhir.guides import Guide, find_guide
from converter.fhir.packages import DEFAULT_FOLDER

_INDEXED = ("resourceType", "id", "url", "version", "kind", "type")


def package_files(name: str, sources: Path, packages: Path | None) -> dict[str, bytes]:
    """The files of the package of a guide (`NAME` or `NAME#VERSION`) whose source form stands under `sources`.

    Snapshots need the packages that the guide builds on. Raises ProfileError if the guide or one of them is missing,
    MappingError for faults of the sources.
    """
    guide = find_guide(name, sources)
    if guide is None:
        raise ProfileError(f"{name} is no guide in source form under {sources}; only those can be exported")
    closure = draft_closure(guide, packages or DEFAULT_FOLDER)
    resources = {f"{d['resourceType']}-{d['id']}.json": d for d in closure.of_guide()}
    index = [
        {"filename": file, **{key: resource[key] for key in _INDEXED if key in resource}}
        for file, resource in sorted(resources.items())
    ]
    content: dict[str, Any] = {
        "package.json": _manifest(guide),
        ".index.json": {"index-version": 2, "files": index},
        **dict(sorted(resources.items())),
    }
    return {f"package/{file}": orjson.dumps(c, option=orjson.OPT_INDENT_2) + b"\n" for file, c in content.items()}


def archive(files: dict[str, bytes]) -> bytes:
    """The files as `.tgz`, without times and owners."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), 9, mtime=0)


def _manifest(guide: Guide) -> dict[str, Any]:
    facts = guide.facts
    return {
        "name": str(facts["guide"]),
        "version": str(facts["version"]),
        "type": "IG",
        "date": str(facts["date"]).replace("-", "") + "000000",
        "license": str(facts["licence"]),
        "canonical": str(facts["canonical"]),
        "title": str(facts.get("title", facts["guide"])),
        "description": str(facts.get("title", facts["guide"])),
        "author": str(facts.get("publisher", facts["guide"])),
        "fhirVersions": ["4.0.1"],
        "dependencies": guide.dependencies,
    }

"""The one screen of `doctor`: versions, where the mapping files are, what they hold, which optional tools are there."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from converter.definitions import Definitions
from converter.engine import mappings_folder
from converter.errors import ConverterError
from converter.mapping import Mappings

_NEEDED = ("click", "rich", "lxml", "Jinja2", "pydifact", "fhir.resources", "orjson", "PyYAML", "tzdata")
_OPTIONAL = {
    "duckdb": "assessments",
    "pyarrow": "assessments, and Parquet of batches",
    "pyspark": "batches on a cluster",
}
_TOOLS = {"java": "the HL7 validator, as a referee", "chromium": "looking at explain pages"}

Row = tuple[str, str, str]


def rows(version: str, mappings: Path | None) -> Iterator[Row]:
    """Subject, state (`ok`, `absent`, `fault`) and what is known, in the order in which they are shown."""
    yield "medcom-fhir", "ok", f"{version}, {Path(__file__).parent}"
    yield "python", "ok", f"{platform.python_version()}, {sys.executable}"
    for name in _NEEDED:
        yield _package(name, "fault", "is needed: install medcom-fhir again")
    for name, purpose in _OPTIONAL.items():
        yield _package(name, "absent", f"optional, for {purpose}")
    for name, purpose in _TOOLS.items():
        found = shutil.which(name)
        yield name, "ok" if found else "absent", found or f"optional, for {purpose}"
    yield from _content(mappings or mappings_folder())


def _package(name: str, without: str, otherwise: str) -> Row:
    try:
        return name, "ok", metadata.version(name)
    except metadata.PackageNotFoundError:
        return name, without, otherwise


def _content(folder: Path) -> Iterator[Row]:
    yield "mappings", "ok" if folder.is_dir() else "fault", str(folder)
    definitions: Any = None
    try:
        definitions = Definitions.load(folder / "letters")
        for family, types in groupby(sorted(definitions.types), lambda type_: type_.rstrip("0123456789")):
            yield f"letters {family}", "ok", ", ".join(types)
    except (ConverterError, OSError) as error:
        yield "letters", "fault", f"do not load ({type(error).__name__}): run `medcom-fhir lint`"
    try:
        targets = ((m.bundle.rpartition("/")[2], m.letter) for m in Mappings.load(folder, lambda type_: None).mappings)
        for target, found in groupby(sorted(targets), itemgetter(0)):
            yield f"mapping {target}", "ok", ", ".join(letter for _, letter in found)
    except (ConverterError, OSError) as error:
        yield "mappings", "fault", f"do not load ({type(error).__name__}): run `medcom-fhir lint`"
    yield from _packs(folder / "profiles")


def _packs(folder: Path) -> Iterator[Row]:
    from converter.fhir.packs import list_packs

    for pack in list_packs(folder):
        if "error" in pack:
            yield f"pack {pack['file']}", "fault", "not readable: build it again with `profiles pack`"
        else:
            yield f"pack {pack['guide']}", "ok", f"{pack['profiles']} profiles, {pack['valuesets']} value sets"

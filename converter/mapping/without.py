"""Letter types that become no FHIR message, each with its reason (`no_target.yaml` of the mapping folder)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from converter.issues import Issue
from converter.mapping.rules import BAD_FORM, UNKNOWN_NAME
from converter.yamlfile import Map, fault, load

FILE = "no_target.yaml"


def no_target(
    folder: Path, leaves: Callable[[str], set[str] | None], mapped: Mapping[str, str]
) -> tuple[dict[str, str], list[Issue]]:
    """Reason by letter type, and the faults of the file: types that no definition knows, or that have a mapping."""
    if not (folder / FILE).is_file():
        return {}, []
    reasons, faults = load(folder / FILE, name=FILE).get("no_target"), []
    if not isinstance(reasons, Map):
        return {}, [fault(BAD_FORM, load(folder / FILE, name=FILE), problem="`no_target` is needed: TYPE: reason")]
    for type_ in reasons:
        if leaves(type_) is None:
            faults.append(fault(UNKNOWN_NAME, type_, what="the letter type", name=str(type_)))
        elif type_ in mapped:
            faults.append(fault(BAD_FORM, type_, problem=f"{type_} has a mapping, {mapped[type_]}"))
    return {str(type_): str(reason) for type_, reason in reasons.items()}, faults

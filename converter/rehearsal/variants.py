"""Variants of an example: its message with a few other values, so that a row of a code map needs no message of its own.

A file `variants.yaml` beside the message of a case:

    no topic: {Communication.topic: }
    category:
      Communication.category[0].coding[0].code: [regarding-referral, examination-results]

The key names the variant. Left stands where the message changes: in a FHIR message the type of a resource (`[1]` for
the second one of that type, `Bundle` for the message itself) and the path below it; in a letter the id of a leaf. Right
stands the new value, of a formatted text by its formats (`{PF0: bold, P00: plain}`). Nothing takes the element out. A
list makes a variant of each of its values; several lists together have one length. What becomes of each is written down
in `variants.txt`, as its difference from the example.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from converter import oioxml
from converter.engine import Engine
from converter.errors import MappingError
from converter.fhir import bundle as fhir
from converter.issues import IssueLog, Location, Severity, declare
from converter.letter import Letter, Value, counts_of, plain
from converter.oioxml.writer import NO_PLACE
from converter.rehearsal.examples import Example
from converter.yamlfile import Map, Seq, fault, load, place

BAD_VARIANT = declare(
    "LNT508",
    "variant-form",
    Severity.ERROR,
    "{problem}",
    why="The variant is not run, so nobody learns when the mapping stops doing what it shows.",
    help="A variant is `name: {path: value}`; a list of values makes a variant of each, nothing takes an element out.",
)

_STEP = re.compile(r"(?P<name>\w+)(?:\[(?P<index>\d{1,4})\])?\Z")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NARRATIVE = re.compile(r"/entry/\d+/resource/text/div\Z")


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant: its name, the bytes of its message, and where it stands."""

    name: str
    data: bytes
    at: Location


class _FormError(Exception):
    """A change that cannot be made; the words for it."""


def variants(engine: Engine, example: Example, log: IssueLog) -> list[Variant]:
    """The variants of an example, if it has any; what cannot be understood goes to `log`."""
    if example.variants is None:
        return []
    try:
        file = load(example.variants, name=f"{example.name}/{example.variants.name}")
    except MappingError as error:
        log.issues.extend(error.issues)
        return []
    make = _of_bundle if example.from_fhir else _of_letter
    data, found = example.inputs[0].read_bytes(), []
    for name, changes in file.items():
        try:
            found += [Variant(label, make(engine, data, one), place(name)) for label, one in _each(name, changes)]
        except _FormError as error:
            log.issues.append(fault(BAD_VARIANT, name, problem=f"the variant {name}: {error}"))
    return found


def messages(engine: Engine, example: Example, log: IssueLog) -> Iterator[bytes]:
    """The message of an example and its variants. A second syntax is the same letter: it would show nothing more."""
    yield example.inputs[0].read_bytes()
    yield from (variant.data for variant in variants(engine, example, log))


def _each(name: str, changes: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """A variant under its name, or one for each value of its lists."""
    if not isinstance(changes, Map) or not changes:
        raise _FormError("it has no changes `path: value`")
    lengths = {len(value) for value in changes.values() if isinstance(value, Seq)}
    if not lengths:
        yield name, changes
        return
    if len(lengths) > 1 or 0 in lengths:
        raise _FormError("its lists are not of one length")
    for number in range(lengths.pop()):
        one = {path: value[number] if isinstance(value, Seq) else value for path, value in changes.items()}
        listed = next(value[number] for value in changes.values() if isinstance(value, Seq))
        yield f"{name}: {listed if isinstance(listed, str) else number + 1}", one


# -- letters -----------------------------------------------------------------------------------------------------------


def _of_letter(engine: Engine, data: bytes, changes: dict[str, Any]) -> bytes:
    (outcome,) = engine.messages(data)
    letter = outcome.letter
    if letter is None or letter.refused:
        raise _FormError("the letter cannot be read")
    values: dict[str, Value] = dict(letter.values)
    for path, value in changes.items():
        for leaf in [leaf for leaf in values if leaf == path or leaf.startswith((path + ".", path + "["))]:
            if not value or leaf != path:
                del values[leaf]
        if isinstance(value, Map):
            values[path] = tuple((str(form), str(text)) for form, text in value.items())
        elif value:
            values[path] = value
    log = IssueLog()
    changed = Letter(letter.type, letter.version, letter.syntax, values, counts_of(values))
    written = oioxml.write([changed], engine.definitions, log)
    unplaced = [issue for issue in log if issue.code == NO_PLACE.code]
    if written is None or unplaced:
        raise _FormError("; ".join(issue.message for issue in unplaced) or "the letter cannot be written")
    return written


# -- FHIR messages -----------------------------------------------------------------------------------------------------


def _of_bundle(engine: Engine, data: bytes, changes: dict[str, Any]) -> bytes:
    bundle = json.loads(data)
    for path, value in changes.items():
        head, *steps = [_step(path, step) for step in path.split(".")]
        _put(_resource(bundle, *head), [part for step in steps for part in step if part is not None], value, path)
    return json.dumps(bundle, ensure_ascii=False).encode()


def _step(path: str, text: str) -> tuple[str, int | None]:
    match = _STEP.match(text)
    if match is None:
        raise _FormError(f"{path} is no path")
    return match["name"], None if match["index"] is None else int(match["index"])


def _resource(bundle: Any, name: str, index: int | None) -> Any:
    if name == "Bundle":
        return bundle
    found = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == name]
    if len(found) <= (index or 0):
        raise _FormError(f"there is no {name}[{index or 0}]")
    return found[index or 0]


def _put(node: Any, steps: list[str | int], value: object, path: str) -> None:
    """Put a value into a tree of JSON; objects and the next item of a list come to be on the way."""
    if not steps:
        raise _FormError(f"{path}: no element is named")
    for here, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(node, list) != isinstance(here, int) or (isinstance(here, int) and here > len(node)):
            raise _FormError(f"{path}: there is no such element")
        there = here < len(node) if isinstance(here, int) else here in node
        if following is not None:
            new: Any = [] if isinstance(following, int) else {}
        else:
            new = _json(value, node[here] if there else None)
        if following is None and value == "":
            if not there:
                raise _FormError(f"{path}: there is nothing to take out")
            del node[here]
            return
        if isinstance(here, int) and not there:
            node.append(new)
        elif following is None or not there:
            node[here] = new
        node = node[here]


def _json(value: object, before: object) -> Any:
    """A value of YAML as JSON: text, except where there was a number, and `true` and `false`."""
    if isinstance(value, Map):
        return {str(key): _json(one, None) for key, one in value.items()}
    if isinstance(value, Seq):
        return [_json(one, None) for one in value]
    text = str(value)
    if text in ("true", "false"):
        return text == "true"
    return int(text) if isinstance(before, int) and text.isdigit() else text


# -- what becomes of them ----------------------------------------------------------------------------------------------

Lines = dict[str, list[str]]
"""What became of a message, a line a fact, by what kind of fact it is."""


def lines(output: Letter | dict[str, Any] | None, texts: Iterable[tuple[str, bytes | None]]) -> Lines:
    """What became of a message: every value of what came out, and the lines of the other golden files.

    Ids that are made are numbered, for a changed letter has others throughout. Narratives repeat the values.
    """
    found: Lines = {}
    if isinstance(output, Letter):
        found["letter"] = [f"{leaf} = {_one_line(plain(value))}" for leaf, value in output.values.items()]
    elif output is not None:
        leaves = [(pointer, value) for pointer, value, _ in fhir.leaves(output) if not _NARRATIVE.search(pointer)]
        found["bundle"] = [f"{pointer} = {_one_line(str(value))}" for pointer, value in leaves]
    for key, text in texts:
        rows = (text or b"").decode().splitlines()
        found[key] = rows[1:] if key == "ledger" else rows
    ids: dict[str, str] = {}
    return {
        key: [_UUID.sub(lambda m: ids.setdefault(m[0], f"id-{len(ids) + 1}"), row) for row in rows]
        for key, rows in found.items()
    }


def _one_line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def difference(base: Lines, variant: Lines) -> Iterator[str]:
    """What a variant has instead of the example itself: lines that went, then lines that came."""
    for key in dict.fromkeys((*base, *variant)):
        before, after = base.get(key, []), variant.get(key, [])
        for sign, rows, others in (("-", before, Counter(after)), ("+", after, Counter(before))):
            for row in rows:
                if others[row]:
                    others[row] -= 1
                else:
                    yield f"{sign} {key}: {row}"

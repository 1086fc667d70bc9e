"""One style for mapping files: what `fmt` writes, what `lint` finds of it, and what `lint --fix` may change."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from converter.errors import MappingError
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.yamlfile import Map, Seq, Str, loads, place

NOT_FORMATTED = declare(
    "LNT180",
    "not-formatted",
    Severity.WARNING,
    "the file is not in the one style from this line on",
    why="Differences of style hide the differences that matter to a reviewer.",
    help="Run `medcom-fhir fmt`; it changes blanks and line ends only.",
)
NAME_STYLE = declare(
    "LNT181",
    "name-style",
    Severity.WARNING,
    "the name {name!r} is not of lower case letters, digits and underscores",
    why="Names of rules are ids in ledgers and findings, and overlays refer to them.",
    help="Rename it: `like_this`.",
)
NEGATED = declare(
    "LNT182",
    "needless-negation",
    Severity.WARNING,
    "the guard says `not` of what has a word of its own",
    why="Negations are the part of a guard that is read wrongly.",
    help="Say `absent` for `not (x present)`, `present` for `not (x absent)`; `medcom-fhir lint --fix` does.",
)
NO_SCHEMA = declare(
    "LNT183",
    "schema-unknown",
    Severity.WARNING,
    "the file names the schema {name!r}, which does not exist",
    why="An editor would neither complete nor check the file.",
    help="The schemas are `mapping`, `part`, `codes`, `losses`, `letter` and others: see `converter/schemas`.",
)
SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"
# As in yamlfile.py: the same tokens from libyaml, where PyYAML was built with it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPEN = (yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSE = (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*\Z")
_NOT = re.compile(r"\bnot \(([^\s()]+) (present|absent)\)")
_MODELINE = re.compile(r"^# yaml-language-server: \$schema=(\S+)$", re.M)


def formatted(text: str) -> str:
    """The text of a YAML file in the one style: the same content, comments and lines, other blanks.

    No blanks at line ends or inside brackets, one after a comma, one empty line at most, `\\n` line ends.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    text = _tight(text)
    lines = [line.rstrip() for line in text.split("\n")] if not _block_scalars(text) else text.split("\n")
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    return text + "\n"


def _block_scalars(text: str) -> bool:
    """Whether blanks at line ends may be part of values."""
    return re.search(r"[|>][-+0-9]*\s*(?:#.*)?$", text, re.M) is not None


def _tight(text: str) -> str:
    """Blanks between the parts of `{…}` and `[…]` on one line, as the style has them."""
    tokens = list(yaml.scan(text, Loader=_LOADER))
    depth, cuts = 0, []
    for before, after in itertools.pairwise(tokens):
        depth += isinstance(before, _OPEN)
        inside, depth = depth, depth - isinstance(after, _CLOSE)
        start, end = before.end_mark, after.start_mark
        between = text[start.index : end.index]
        if not inside or start.line != end.line or between.strip():
            continue
        wanted = between
        if isinstance(before, _OPEN) or isinstance(after, (*_CLOSE, yaml.FlowEntryToken)):
            wanted = "" if not (isinstance(before, yaml.ValueToken) and between) else between
        elif isinstance(before, yaml.FlowEntryToken | yaml.ValueToken):
            wanted = " "
        if wanted != between:
            cuts.append((start.index, end.index, wanted))
    for begin, stop, wanted in reversed(cuts):
        text = text[:begin] + wanted + text[stop:]
    return text


def fmt(path: Path) -> bool:
    """Write a file in the one style. Whether anything changed; `MappingError` where it is no mapping file."""
    before = path.read_bytes()
    known = loads(before, name=str(path))
    after = formatted(before.decode("utf-8-sig")).encode()
    if after == before:
        return False
    if loads(after, name=str(path)) != known:
        raise AssertionError(
            f"{path}: formatting would change the content"
        )  # never happens; better no file than a wrong one
    path.write_bytes(after)
    return True


def check(path: Path, name: str, log: IssueLog) -> None:
    """The style of one file."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
        _format(text, name, log)
        document = loads(data, name=name) if name.startswith("fhir/") else Map()
    except (MappingError, ValueError, yaml.YAMLError):
        return  # told where the file is loaded
    for rule in _names(document):
        if not _NAME.match(rule):
            log.add(NAME_STYLE, place(rule), name=str(rule))
    for guard in _guards(document):
        if _NOT.search(guard):
            log.add(NEGATED, place(guard))
    for match in _MODELINE.finditer(text):
        if not (SCHEMAS / Path(match[1]).name).is_file():
            at = Location(name, text[: match.start()].count("\n") + 1, 1)
            log.add(NO_SCHEMA, at, name=Path(match[1]).name)


def _format(text: str, name: str, log: IssueLog) -> None:
    wanted = formatted(text)
    if wanted == text:
        return
    lines, good = text.split("\n"), wanted.split("\n")
    first = next(
        (n for n, (a, b) in enumerate(zip(lines, good, strict=False), 1) if a != b), min(len(lines), len(good))
    )
    log.add(NOT_FORMATTED, Location(name, first, 1))


def _names(document: Map) -> Iterator[Str]:
    for key, value in document.items():
        if key == "rules" and isinstance(value, Map):
            yield from value
        if isinstance(value, Map):
            yield from _names(value)


def _guards(value: Any, key: str = "") -> Iterator[Str]:
    if isinstance(value, Map):
        for name, child in value.items():
            yield from _guards(child, str(name))
    elif isinstance(value, Seq):
        for child in value:
            yield from _guards(child, key)
    elif isinstance(value, Str) and key in ("when", "when_fhir"):
        yield value


# -- safe changes ------------------------------------------------------------------------------------------------------

FIXABLE = ("LNT161", "LNT180", "LNT182")


def fix(issues: list[Issue], folder: Path) -> list[Issue]:
    """Make the changes that alter nothing of what the files mean; gives the findings that they answer."""
    done = []
    by_file: dict[Path, list[Issue]] = {}
    for issue in issues:
        path = folder / issue.at.file if (folder / issue.at.file).is_file() else Path(issue.at.file)
        if issue.code in FIXABLE and path.is_file():
            by_file.setdefault(path, []).append(issue)
    for path, ours in by_file.items():
        lines = path.read_text(encoding="utf-8").split("\n")
        for issue in ours:
            number = issue.at.line - 1
            if issue.code == "LNT182":
                lines[number] = _NOT.sub(
                    lambda m: f"{m[1]} {'absent' if m[2] == 'present' else 'present'}", lines[number]
                )
            elif issue.code == "LNT161":
                lines[number] = _without(lines[number], issue.at.column - 1)
        path.write_text("\n".join(lines), encoding="utf-8")
        fmt(path)
        done += ours
    return done


def _without(line: str, column: int) -> str:
    """A line without the item of a list that starts in that column."""
    item = re.match(r"[A-Za-z0-9-]+,?\s*", line[column:])
    end = column + item.end() if item else column
    left = line[:column]
    return (left.rstrip().removesuffix(",") if line[end : end + 1] == "]" else left) + line[end:]

"""EDIFACT bytes <-> letters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from converter.definitions import Definition, Definitions
from converter.definitions.unknown import report_no_definition
from converter.edifact import quick
from converter.edifact.envelope import Message, read_messages
from converter.edifact.rows import write_interchange
from converter.edifact.segments import Segment
from converter.edifact.structure import compiled
from converter.edifact.writing import UNPUBLISHED
from converter.issues import IssueLog, Location
from converter.letter import Letter
from converter.limits import Limits

_USUAL = (b"UNA:+.? 'UNB+", b"UNA:+.? '\nUNB+", b"UNA:+.? '\r\nUNB+", b"UNB+")
_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:UNA[^\r\n]{6}\s*UN[A-Z]|UN[BH]\+)")
_LIMITS = Limits()
_NAME = re.compile(r"[A-Z][A-Z0-9]{2,7}\Z")


def sniff(data: bytes) -> bool:
    """Whether this looks like EDIFACT, by its first bytes."""
    return data.startswith(_USUAL) or _START.match(data[:200]) is not None


def read(
    data: bytes,
    definitions: Definitions,
    log: IssueLog,
    *,
    file: str = "",
    limits: Limits | None = None,
    encoding: str | None = None,
) -> Iterator[Letter]:
    """Yield one letter for every message, refused ones included, each after all issues about it were logged.

    Issues about the end of an interchange come after its last letter. `encoding` overrules the label of UNB. Legacy
    rules about the content are not checked here but by `Definition.check`. Raises `InterchangeError` for an encoding
    that does not exist.
    """
    limits = limits or _LIMITS
    if not encoding and (letter := quick.read(data, definitions, file, limits)) is not None:
        yield letter
        return
    for message in read_messages(data, log, file=file, limits=limits, encoding=encoding or ""):
        yield _letter(message, definitions, log, limits)


def _letter(message: Message, definitions: Definitions, log: IssueLog, limits: Limits) -> Letter:
    letter = Letter(_shown(message.type), _shown(message.association), "edifact")
    definition = definitions.by_edifact(message.type, message.association)
    if definition is None:
        unh = message.header
        report_no_definition(log, unh.locate(2, 5), message.type, message.association)
        return _refused(letter, message)
    if message.broken:  # the log says why
        return _refused(letter, message)
    header = message.interchange.header
    segments = [header or Segment("UNB", []), *message.segments[:-1]]
    compiled(definition).read(segments, letter, log, limits, headless=header is None)
    return _refused(letter, message) if letter.refused else letter


def _refused(letter: Letter, message: Message) -> Letter:
    """The letter as one that cannot be used, with what its envelope says of it."""
    around = message.interchange
    letter.refused = True
    letter.identity = {
        "Envelope.Identifier": around.reference,
        "Letter.Identifier": message.reference,
        "Sender.EANIdentifier": around.sender,
        "Receiver.EANIdentifier": around.receiver,
    }
    return letter


@lru_cache(maxsize=256)
def _shown(name: str) -> str:
    """A type or version as it may go into reports: empty if it does not look like one."""
    return name if _NAME.match(name) else ""


def write(
    letters: Sequence[Letter], definitions: Definitions, log: IssueLog, *, version: str | None = None
) -> bytes | None:
    """The bytes of letters, each in an interchange of its own; None, with issues, if one cannot be written.

    `version` asks for another version of each letter's type than its own.
    """
    interchanges = [_interchange(letter, definitions, log, version or letter.version) for letter in letters]
    written = [data for data in interchanges if data is not None]
    return b"".join(written) if written and len(written) == len(interchanges) else None


def _interchange(letter: Letter, definitions: Definitions, log: IssueLog, version: str) -> bytes | None:
    if letter.refused:  # its reader has said why
        return None
    definition = definitions.get(letter.type, version)
    if definition is None:
        report_no_definition(log, Location(), letter.type, version)
        return None
    if not definition.edifact:
        log.add(UNPUBLISHED, Location(), definition=f"{definition.type} {definition.version}")
        return None
    rows = compiled(definition).write(letter, log, _origin(letter, definitions, version))
    return None if rows is None else write_interchange(rows)


def _origin(letter: Letter, definitions: Definitions, version: str) -> Definition | None:
    return definitions.get(letter.type, letter.version) if letter.version != version else None

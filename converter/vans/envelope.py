"""What an envelope says, apart from its XML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from converter.issues import Location

NAMESPACE = "urn:oio:medcom:vans-envelope:1.0.4"
MIME = "MCM:MIME"
"""The service tag that tells the form of a FHIR message."""

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """Who sends or receives: `kind` is EAN (a location number), CVR or VANS."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope with a message. `payload` is the message as bytes; `lines` says where elements stand, by path.

    `message` is MetaInformation/Identifier, `size` what SizeInBytes says (-1 if it says nothing).
    """

    sender: Address
    receiver: Address
    id: str
    sent: str
    message: str
    format: str
    name: str
    version: str = ""
    mime: str = ""
    size: int = -1
    payload: bytes = b""
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)

    def at(self, path: str) -> Location:
        """Where the element with that path stands."""
        line = self.lines.get(path, 0)
        return Location(self.file, line, 1 if line else 0, path=path)

"""Where a letter came from, as OIOXML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from converter.issues import Location


@dataclass(frozen=True, slots=True)
class XmlSource:
    """Turns the places that the reader notes, (line, leaf id), into locations.

    `namespace` is the one that the letter was read in: several schema dates may belong to one version.
    """

    file: str
    root: str
    namespace: str

    def locate(self, place: object) -> tuple[Location, ...]:
        """The one place of a leaf; XML gives no columns."""
        line, leaf = cast("tuple[int, str]", place)
        path = leaf.replace(".", "/")
        path = f"/Emessage/{path}" if path.startswith("Envelope/") else f"/Emessage/{self.root}/{path}"
        return (Location(self.file, line, 1, path=path),)

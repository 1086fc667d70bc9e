"""What the mapping files say, loaded and compiled when it is first asked for."""

from __future__ import annotations

from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from converter.definitions import Definitions
from converter.joining import FILE as ATTACHMENTS
from converter.joining import NOTHING_JOINED, AttachmentTable
from converter.joining import load_table as load_attachments
from converter.mapping import Mappings
from converter.routes import FILE as ROUTES
from converter.routes import Routes

if TYPE_CHECKING:
    from converter.fhir.documents import Documents
    from converter.fhir.library import Library
    from converter.fhir.narrative import Narratives


def mappings_folder() -> Path:
    """The mapping files that came with the package: beside it in a checkout, inside it in a wheel."""
    packed = Path(str(resources.files("converter"))) / "_mappings"
    return packed if packed.is_dir() else packed.parents[1] / "mappings"


class Content:
    """What the mapping files say, compiled. Engines over the same unchanged files share it; no message is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def definitions(self) -> Definitions:
        return Definitions.load(self.folder / "letters", lazily=True)

    @cached_property
    def attachments(self) -> AttachmentTable:
        path = self.folder / ATTACHMENTS
        return load_attachments(path) if path.is_file() else NOTHING_JOINED

    def check_attachments(self) -> None:
        """Compare the table of attachments with the letters that it names, once. Raises `MappingError`."""
        _ = self._checked_attachments

    @cached_property
    def _checked_attachments(self) -> None:
        # Its letters are defined by files that no other letter needs, so that most runs need not build them.
        if self.attachments is not NOTHING_JOINED:
            load_attachments(self.folder / ATTACHMENTS, self.definitions.leaves)

    @cached_property
    def mappings(self) -> Mappings:
        leaves = self.attachments.leaves(self.definitions.leaves)
        return Mappings.load(self.folder, leaves, known=self.definitions.types)

    @cached_property
    def narratives(self) -> Narratives:
        from converter.fhir.narrative import Narratives

        return Narratives.load(lazily=True)  # most letters need half of them

    @cached_property
    def routes(self) -> Routes:
        return Routes.load(self.folder / ROUTES)

    @cached_property
    def documents(self) -> Documents:
        from converter.fhir.documents import Documents

        return Documents.load(self.folder)

    @cached_property
    def packs(self) -> Library:
        from converter.fhir.library import Library

        return Library(self.folder / "profiles")


def content_of(folder: Path) -> Content:
    """What the files of a folder say, as they are now."""
    return _content_of(folder, _stamp(folder))


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every mapping file and profile pack: what tells whether any of them has changed."""
    files = ((path, path.stat()) for kind in ("*.yaml", "*.json.gz") for path in sorted(folder.rglob(kind)))
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in files)


@lru_cache(maxsize=4)
def _content_of(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> Content:
    return Content(folder)

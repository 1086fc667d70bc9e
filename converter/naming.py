"""What letter types and their elements are called in Danish and English: content, in the mapping folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from converter.yamlfile import Map, load

FIELDS = "fields.yaml"
TYPES = "names.yaml"
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Names:
    """The names that the files of a mapping folder give; none where it has no such file."""

    def __init__(self, folder: Path) -> None:
        self._types, self._fields = (self._load(folder / name) for name in (TYPES, FIELDS))

    @staticmethod
    def _load(path: Path) -> Map | dict[str, Any]:
        return load(path) if path.is_file() else {}

    def of_type(self, type_: str) -> tuple[str, str]:
        """The Danish and the English name of a letter type; empty where there is none."""
        known = self._types.get(type_, {})
        return str(known.get("da", "")), str(known.get("en", ""))

    def of_path(self, path: str) -> tuple[str, str]:
        """The names of a field: of each element on its path, and of none that says the same as the one above."""
        danish: list[str] = []
        english: list[str] = []
        for element in path.split("."):
            known = self._fields.get(element, {})
            plain = _WORD.sub(" ", element).replace("_", " ").lower()
            for words, word in ((danish, known.get("da", plain)), (english, known.get("en", plain))):
                if not words or words[-1] != word:
                    words.append(str(word))
        return " · ".join(danish), " · ".join(english)

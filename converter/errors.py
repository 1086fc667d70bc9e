"""The exception tree. Raised only when there is no way on; whatever one message can be blamed for is an issue."""

from __future__ import annotations

from collections.abc import Iterable

from converter.issues import Issue


class ConverterError(Exception):
    """Base of all exceptions of this package. Its text never holds a value of a message."""


class InterchangeError(ConverterError):
    """An input cannot be read at all (wrong use of the library, not a faulty message: those give issues)."""


class MappingError(ConverterError):
    """Files under `mappings/` do not load or compile. `issues` says where and why."""

    def __init__(self, message: str, issues: Iterable[Issue] = ()) -> None:
        super().__init__(message)
        self.issues: list[Issue] = list(issues)


class ProfileError(ConverterError):
    """A FHIR package or a compiled pack is missing or damaged."""


class ConversionError(ConverterError):
    """A conversion was asked for that the engine does not offer."""


class SinkError(ConverterError):
    """An output cannot be written."""

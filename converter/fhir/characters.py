"""Characters below the blank that XML 1.0 has no place for, not even escaped."""

from __future__ import annotations

from collections.abc import Callable

_CONTROLS = [chr(code) for code in range(0x20) if chr(code) not in "\t\n\r"]
# Single characters are found faster than any of several, and a search without a loop is faster still.
has_control: Callable[[str], bool] = eval("lambda text: " + " or ".join(f"{c!r} in text" for c in _CONTROLS))  # noqa: S307
"""Whether a text has one of them."""

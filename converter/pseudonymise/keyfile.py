"""The file that holds the key: whoever has it can test a guess, so nobody but its owner may read it."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from converter.errors import ConverterError

MINIMUM = 32
"""Bytes that a key must have."""


class KeyFileError(ConverterError):
    """The key file cannot be used."""


def make(path: Path) -> None:
    """Make a file with a new key: 64 hexadecimal digits, for its owner only. Raises `KeyFileError` if it exists."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} exists; leave out --make-key to use it") from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(MINIMUM) + "\n")


def read(path: Path) -> bytes:
    """The key in a file, without blanks around it.

    Raises `KeyFileError` for a file that others may read, that is no regular file, or that holds less than 32 bytes.
    """
    if not path.exists():
        raise KeyFileError(f"{path} does not exist; --make-key makes it with a new key")
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(f"{path} is no regular file")
    if found.st_mode & 0o077:
        raise KeyFileError(
            f"{path} can be read or written by others (mode {found.st_mode & 0o777:03o}): chmod 600 {path}"
        )
    key = path.read_bytes().strip()
    if len(key) < MINIMUM:
        raise KeyFileError(f"{path} holds {len(key)} bytes, a key needs {MINIMUM} or more; --make-key makes one")
    return key

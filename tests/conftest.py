"""Shared fixtures. Third-party truth lives beside a checkout and is not part of the project: tests skip without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MEDCOM_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with third-party samples and FHIR packages; skips the test where it is absent."""
    if not (SHARED / "samples").is_dir():
        pytest.skip(f"third-party samples are absent ({SHARED}); set MEDCOM_SHARED to their folder")
    return SHARED

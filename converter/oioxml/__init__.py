"""OIOXML: MedCom's letters as XML. The same three functions as `converter.edifact`."""

from __future__ import annotations

from converter.oioxml.letters import read, sniff
from converter.oioxml.writer import write

__all__ = ["read", "sniff", "write"]

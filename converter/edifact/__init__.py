"""EDIFACT: MedCom's letters as segments. The same three functions as `converter.oioxml`."""

from __future__ import annotations

from converter.edifact.letters import read, sniff, write

__all__ = ["read", "sniff", "write"]

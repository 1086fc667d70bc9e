"""VANSEnvelope 1.0.4: what MedCom's network carries messages in. A container of one message, and its addresses."""

from __future__ import annotations

from converter.vans.checking import Ids, check
from converter.vans.envelope import Address, Envelope
from converter.vans.reading import read, sniff
from converter.vans.writing import wrapped

__all__ = ["Address", "Envelope", "Ids", "check", "read", "sniff", "wrapped"]

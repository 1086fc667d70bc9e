"""Attachments: letters that hold objects, joined to the letters that name them, and split off on the way back.

A letter with the content of its objects is an ordinary letter with one more leaf in each of its references, so mappings
carry it by their rules. What the letters of the objects say besides is accounted for here, by
`mappings/attachments.yaml`.
"""

from converter.joining.index import ALONE, NOT_JOINED, Facts, Found, Held, Naming, Partners
from converter.joining.joined import MISSING, PREFIX, Joined, check_object, in_order
from converter.joining.splitting import Splitting, without_partners
from converter.joining.table import FILE, NOTHING_JOINED, AttachmentTable, load_table

__all__ = [
    "ALONE",
    "FILE",
    "MISSING",
    "NOTHING_JOINED",
    "NOT_JOINED",
    "PREFIX",
    "AttachmentTable",
    "Facts",
    "Found",
    "Held",
    "Joined",
    "Naming",
    "Partners",
    "Splitting",
    "check_object",
    "in_order",
    "load_table",
    "without_partners",
]

"""Flows: which letter answers which referral, by a table of letter types and leaves (`mappings/flows.yaml`)."""

from converter.flows.beside import Beside
from converter.flows.joining import Flow, Flows
from converter.flows.table import FlowTable, load_table

__all__ = ["Beside", "Flow", "FlowTable", "Flows", "load_table"]

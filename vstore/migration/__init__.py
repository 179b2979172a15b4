"""Migration: reading the dependencies of a project of another tool, and proposing a spec that keeps its versions."""

from __future__ import annotations

from vstore.migration.model import Choice, LeftOut, Pin, Proposal, ProposedLayer, SourceProject
from vstore.migration.proposal import propose
from vstore.migration.sources import existing_spec, read_source_project
from vstore.migration.survey import survey

__all__ = [
    "Choice",
    "LeftOut",
    "Pin",
    "Proposal",
    "ProposedLayer",
    "SourceProject",
    "existing_spec",
    "propose",
    "read_source_project",
    "survey",
]

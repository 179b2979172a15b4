"""Readers of the projects, locks and environments of other tools."""

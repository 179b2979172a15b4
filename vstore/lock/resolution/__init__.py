"""Resolving requirements with uv into lock documents."""

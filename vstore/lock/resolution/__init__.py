"""Resolving requirements with uv."""

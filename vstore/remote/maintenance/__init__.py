"""Maintenance of a cache: what may be deleted, and what is damaged."""

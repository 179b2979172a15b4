"""Maintenance of a cache: collecting, verifying and pinning."""

"""Serving a store as a read-only cache over HTTP."""

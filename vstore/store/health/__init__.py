"""Checking and repairing a store: verify, reindex, optimise."""

"""Executing a plan: each node is present in the store, else substituted from a cache, else built."""

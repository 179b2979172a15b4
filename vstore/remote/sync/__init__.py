"""Moving objects between a store and a cache: push, pull, fetch, substitute, deltas."""

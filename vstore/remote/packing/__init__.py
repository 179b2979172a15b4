"""Packing: the archives of a store's objects, each packed once."""

"""The annotations of an image's layer that is an object: its path, and the records that a cache has of it."""

from __future__ import annotations

OBJECT_PATH = "dev.vstore.path"
OBJECT_RECORD = "dev.vstore.object"  # the record of the object, JSON
REALISATION_RECORDS = "dev.vstore.realisations"  # a JSON list of the records of its recipes

"""The spec: what a user writes, as values, checked."""

from vstore.spec.load import load
from vstore.spec.model import Layer, Spec, Target
from vstore.spec.sources import source_digest, source_files

__all__ = ["Layer", "Spec", "Target", "load", "source_digest", "source_files"]

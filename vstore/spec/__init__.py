"""The spec: reading it, its layers and their order, and the modules it names."""

from vstore.spec.load import load
from vstore.spec.model import Layer, Spec, Target
from vstore.spec.sources import source_digest, source_files

__all__ = ["Layer", "Spec", "Target", "load", "source_digest", "source_files"]

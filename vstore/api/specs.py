"""Specs: reading one, its layers and the platforms they are for."""

from vstore.spec import Layer, Spec, load
from vstore.target import Target

__all__ = ["Layer", "Spec", "Target", "load"]

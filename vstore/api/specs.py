"""Specs: reading one, its layers and the platforms they are for."""

from vstore.spec import Layer, Spec, Target, load

__all__ = ["Layer", "Spec", "Target", "load"]

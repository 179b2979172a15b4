"""Specs: reading one, its layers and the platforms they are for."""

from vstore.fs.place import check_output_folder, create_file
from vstore.spec import Layer, Spec, load
from vstore.spec.project import ALLOW_OUTSIDE
from vstore.target import Target

__all__ = ["ALLOW_OUTSIDE", "Layer", "Spec", "Target", "check_output_folder", "create_file", "load"]

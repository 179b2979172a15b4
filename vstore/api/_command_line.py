"""For the command line alone: paths as a person types them, and the fault that a test arms. Not part of the API."""

from vstore.fs.faults import arm as arm_fault
from vstore.fs.paths import absolute, quoted

__all__ = ["absolute", "arm_fault", "quoted"]

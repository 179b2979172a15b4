"""This process: how it waits for others, paths as a person types them, and the fault that a test arms."""

from vstore.cancel import end_waits, set_waiting
from vstore.fs.faults import arm as arm_fault
from vstore.fs.paths import absolute

__all__ = ["absolute", "arm_fault", "end_waits", "set_waiting"]

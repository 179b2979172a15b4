"""The interface of all outputs: the forms in which a stack is given to machines without a store.

An output plans first: the plan lists each file or folder, and whether it is unchanged. A dry run stops after the plan.
`vstore.publish.archives` is an implementation in full; `tests/publish/test_outputs.py` has the contract.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from vstore.objects import Kind, StorePath
from vstore.publish.members import StackMembers
from vstore.publish.records import CombinedManifest, MemberRecord
from vstore.reporter import Reporter
from vstore.values import frozen


class OutputItem(NamedTuple):
    """A file, folder or entry of an output, made from one object. `size_bytes` is of the object's files."""

    label: str  # for people, and the name of the item's metadata file
    name: str  # of the file, folder or entry
    kind: Kind
    path: StorePath | None  # None in a dry run, before the object is built
    size_bytes: int | None
    unchanged: bool = False
    record: MemberRecord | None = None


@frozen
class OutputPlan:
    """The items of an output, in the order of writing, and its metadata, if this form has any."""

    items: tuple[OutputItem, ...]
    manifest: CombinedManifest | None = None

    @property
    def written(self) -> tuple[OutputItem, ...]:
        """The items to write, or that were written."""
        return tuple(item for item in self.items if not item.unchanged)

    @property
    def unchanged(self) -> tuple[OutputItem, ...]:
        """The items that an earlier run wrote and that are still right."""
        return tuple(item for item in self.items if item.unchanged)


class Output(Protocol):
    """A form of output at one place, with its options. Implementations are frozen values.

    If layers of a stack are selected, only these are written, or these with what they refer to:
    `StackMembers.selected`. In a dry run, members that are not built yet have no path; the plan has their names.
    """

    def check(self, names: Iterable[str]) -> None:
        """Raise UsageError, before anything is realised, if layers of these names cannot be written to the place."""

    def plan(self, stack: StackMembers) -> OutputPlan:
        """Return the plan of `write`. Nothing is changed on disk, except for trials that are undone.

        Raises UsageError if the place, or a file in it that would be replaced, is not the output of an earlier run.
        """

    def write(self, stack: StackMembers, *, jobs: int = 1, reporter: Reporter | None = None) -> OutputPlan:
        """Plan and write with at most `jobs` threads. Return the plan as it was carried out.

        An interrupted run leaves no incomplete file under its final name. Raises UsageError as `plan`, and BusyError
        while another process writes to the place.
        """

"""Documents about environments."""

from __future__ import annotations

from typing import Annotated, TypedDict


class DevelopDocument(TypedDict):
    """A development environment."""

    environment: Annotated[str, "Absolute path of the environment"]
    layer: Annotated[str, "Environment name of the layer that it shows"]
    path: Annotated[str | None, "Object of the layer; null in a dry run if it is to be built"]
    created: Annotated[bool, "Whether the environment is new"]
    copied: Annotated[list[str], "Metadata folders that were copied from the layer"]
    removed: Annotated[list[str], "Copied metadata folders that were removed"]
    hidden: Annotated[list[str], "Packages of the layer that are installed in the environment too, which hides them"]
    modules: Annotated[list[str], "Folders of the working tree that modules are imported from"]
    dry_run: Annotated[bool, "Whether nothing was changed"]


class ActivateDocument(TypedDict):
    """The commands that activate a layer in a shell."""

    layer: Annotated[str, "Environment name of the layer"]
    place: Annotated[str, "Absolute path of the layer, through the link of the profile if that was named"]
    shell: Annotated[str, "Shell that the commands are for"]
    file: Annotated[str, "File that the shell sources; without the applications of a stack"]
    commands: Annotated[str, "Commands that the shell runs"]


class KernelDocument(TypedDict):
    """A kernel of Jupyter that vstore made."""

    name: Annotated[str, "Name of the kernel"]
    title: Annotated[str, "Title that Jupyter shows"]
    layer: Annotated[str, "Environment name of its layer"]
    python: Annotated[str, "Python that it starts, through the link of a profile"]
    file: Annotated[str, "Absolute path of its `kernel.json`"]
    ready: Annotated[bool, "Whether that Python exists"]


class RemovedKernelDocument(TypedDict):
    """A kernel that was removed."""

    removed: Annotated[str, "Absolute path of its folder"]

"""`vstore kernel`: kernels of Jupyter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, command_group, options
from vstore.cli.paths import FOLDER
from vstore.cli.settings import Settings
from vstore.cli.text import table
from vstore.errors import UsageError

if TYPE_CHECKING:
    from vstore.api.kernels import Kernel
    from vstore.cli.documents.environments import KernelDocument, RemovedKernelDocument


def _folder(prefix: Path | None, user: bool) -> Path:
    from vstore.api.kernels import kernels_folder

    if prefix is not None and user:
        raise UsageError("--prefix and --user are two places", hint="give one of them")
    return kernels_folder(prefix, os.environ)


_folder_options = options(
    "folder",
    _folder,
    click.option("--prefix", type=FOLDER, help="The installation of Jupyter, such as a virtual environment."),
    click.option("--user", is_flag=True, help="The kernels of this user (default)."),
)


@command_group("kernel", default="list")
def kernel_command() -> None:
    """Without a subcommand the kernels are listed."""


@command("install", group=kernel_command)
@click.argument("what")
@click.option("--name", help="The name of the kernel (default: WHAT).")
@click.option("--display-name", "title", metavar="TITLE", help="The title that Jupyter shows (default: WHAT).")
@_folder_options
def install_command(settings: Settings, what: str, name: str | None, title: str | None, folder: Path) -> None:
    """Make a kernel that runs in a layer. WHAT is PROFILE/LAYER, or a profile with one application.

    The kernel is found by every Jupyter of the user, and a notebook that starts later follows the profile. The layer
    needs ipykernel. A kernel that vstore made is replaced, another one never.
    """
    from vstore.api.kernels import install

    with settings.open_store(read_only=True) as store:
        kernel = install(store, what, folder, name=name, title=title)
    document = _document(kernel, folder)
    settings.emit(document, lambda: f"{document['file']}: {kernel.title}")


@command("list", group=kernel_command)
@_folder_options
def list_command(settings: Settings, folder: Path) -> None:
    """List the kernels that `kernel install` made."""
    from vstore.api.kernels import installed_kernels

    documents = [_document(kernel, folder) for kernel in installed_kernels(folder)]

    def text() -> str:
        if not documents:
            return f"vstore made no kernels in {folder}; `vstore kernel install PROFILE` makes one"
        rows = [{**one, "state": "ready" if one["ready"] else "its profile is gone"} for one in documents]
        return table(rows, {"name": "name", "title": "title", "layer": "layer", "state": "state", "file": "file"})

    settings.emit(documents, text)


@command("remove", group=kernel_command)
@click.argument("name")
@_folder_options
def remove_command(settings: Settings, name: str, folder: Path) -> None:
    """Remove a kernel that `kernel install` made."""
    from vstore.api.kernels import remove_kernel

    remove_kernel(folder, name)
    document: RemovedKernelDocument = {"removed": str(folder / name)}
    settings.emit(document, lambda: f"removed {folder / name}")


def _document(kernel: Kernel, folder: Path) -> KernelDocument:
    return {
        "name": kernel.name,
        "title": kernel.title,
        "layer": kernel.layer_name,
        "python": str(kernel.python),
        "file": str(folder / kernel.name / "kernel.json"),
        "ready": kernel.python.exists(),
    }

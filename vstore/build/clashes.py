"""Clashes: paths at which different distributions have different files.

As in any virtual environment, only one of the files can be there. The file of the nearest layer stays; within a layer,
that of the distribution whose name sorts last. The metadata of a layer list its clashes, so no file is lost silently.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from vstore.values import frozen


@frozen(order=True)
class Clash:
    """At `path` is the file of distribution `kept`; the file of `hidden` is not there.

    The name of a distribution is empty for a launch or support module of its layer, and for files of the layer itself.
    """

    path: str
    kept: str
    kept_layer: str
    hidden: str
    hidden_layer: str

    def as_json(self) -> dict[str, str]:
        """Return the entry of the clash in layer.json."""
        return asdict(self)


def describe_clashes(clashes: Iterable[Clash]) -> list[str]:
    """Return a line for each pair of distributions, with the number of files and the first of them."""
    paths: dict[tuple[str, str], list[str]] = {}
    for one in sorted(clashes):
        pair = (_owner(one.hidden, one.hidden_layer, one.path), _owner(one.kept, one.kept_layer, one.path))
        paths.setdefault(pair, []).append(one.path)
    return [
        f"{len(found)} {'file' if len(found) == 1 else 'files'} of {hidden} hidden by {kept}: {found[0]}"
        + (", …" if len(found) > 1 else "")
        for (hidden, kept), found in sorted(paths.items())
    ]


def _owner(distribution: str, layer: str, path: str) -> str:
    if distribution:
        return f"{distribution} ({layer})"
    return f"a module of {layer}" if "/site-packages/" in path else f"{layer} itself"

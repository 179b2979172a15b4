"""Options of listings: `--sort` and `--reverse`, and the filters of objects. JSON documents follow them too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from vstore.cli.command import Decorator, options
from vstore.cli.quantities import AGE

if TYPE_CHECKING:
    from vstore.api.listings import ObjectFilter

KINDS = ("source", "interpreter", "runtime", "framework", "application", "stack")
Document = TypeVar("Document", bound=Mapping[str, object])

names_argument = click.argument("names", metavar="[NAME]…", nargs=-1)
unused_for_option = click.option("--unused-for", type=AGE, metavar="AGE", help="Show only those not used for AGE.")


class Order(NamedTuple):
    """The order of a listing: the key of its documents, None for the usual order, and whether it is reversed."""

    key: str | None
    reverse: bool

    def of(self, documents: Iterable[Document]) -> list[Document]:
        """Return documents in this order. Those that lack the value come last."""
        found = list(documents)
        if self.key is None:
            return found[::-1] if self.reverse else found
        key = self.key
        there = [one for one in found if one[key] is not None]
        there.sort(key=lambda one: _sortable(one[key]), reverse=self.reverse)
        return there + [one for one in found if one[key] is None]


def sort_options(columns: Mapping[str, str]) -> Decorator:
    """Add `--sort` and `--reverse`, which become an `Order`. `columns` maps their names to keys of the documents."""

    def order(column: str | None, reverse: bool) -> Order:
        return Order(columns[column] if column else None, reverse)

    return options(
        "order",
        order,
        click.option("--sort", "column", type=click.Choice(list(columns)), help="Sort by this column."),
        click.option("--reverse", is_flag=True, help="Reverse the order."),
    )


def _object_filter(
    names: tuple[str, ...], kinds: tuple[str, ...], unused_for: timedelta | None, latest: bool
) -> ObjectFilter:
    from vstore.api.listings import ObjectFilter
    from vstore.api.stores import Kind

    return ObjectFilter(names=names, kinds=tuple(map(Kind, kinds)), unused_for=unused_for, latest=latest)


object_filter = options(
    "wanted",
    _object_filter,
    names_argument,
    click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Show only objects of this kind."),
    unused_for_option,
    click.option("--latest", is_flag=True, help="Of several objects with one name show only the newest."),
)


def _sortable(value: object) -> tuple[float, str]:
    return (value, "") if isinstance(value, int | float) else (0, str(value).casefold())

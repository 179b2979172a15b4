"""Values a person types: ages (`30d`, `12h`) and sizes (`5G`, `500MiB`)."""

from __future__ import annotations

import re
from datetime import timedelta

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Age(click.ParamType[timedelta]):
    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d+)\s*([smhdw])", str(value).strip().lower())
        if not found:
            self.fail(f"{value!r} is not an age such as 30d, 12h or 2w", param, ctx)
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


class Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", str(value).strip().lower())
        if not found:
            self.fail(f"{value!r} is not a size such as 500M or 5G", param, ctx)
        return int(float(found[1]) * _SIZES[found[2]])


AGE = Age()
SIZE = Size()

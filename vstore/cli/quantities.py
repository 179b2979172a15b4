"""Ages, sizes and times that people type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click


class Age(click.ParamType[timedelta]):
    """A duration such as `30d` or `12h`."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration."""
        from vstore.api.config import parse_age

        if isinstance(value, timedelta):
            return value
        try:
            return parse_age(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Size(click.ParamType[int]):
    """A size such as `5G` or `500MiB`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the size in bytes."""
        from vstore.api.config import parse_size

        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Deadline(click.ParamType[datetime]):
    """A time in the future: an age from now (`30d`) or a date (`2026-12-31`), UTC."""

    name = "age|date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time, with its time zone."""
        from vstore.api.config import parse_age

        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            return now + parse_age(str(value))
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither an age such as 30d nor a date such as 2026-12-31", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment <= now:
            self.fail(f"{value!r} is in the past", param, ctx)
        return moment


AGE = Age()
DEADLINE = Deadline()
SIZE = Size()

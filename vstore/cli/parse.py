"""Values a person types: ages (`30d`, `12h`), sizes (`5G`, `500MiB`), moments to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from vstore.api.config import parse_age, parse_size


class Age(click.ParamType[timedelta]):
    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return parse_age(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[datetime]):
    """A moment to come: an age from now (`30d`) or a date (`2026-12-31`), UTC."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
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
            self.fail(f"{value!r} is past", param, ctx)
        return moment


AGE = Age()
MOMENT = Moment()
SIZE = Size()

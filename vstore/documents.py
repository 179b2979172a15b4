"""Reading TOML and JSON documents from outside, field by field, as typed values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


class FieldError(ValueError):
    """A field is missing or has a value of another type. The text names its key path."""


class Fields:
    """A TOML table or JSON object. Its methods raise FieldError for a field of another type, or a missing one.

    Methods whose names begin with `optional` return None for a missing field, and those that return several values
    none.
    """

    def __init__(self, values: object, path: str = "") -> None:
        if not isinstance(values, dict):
            raise FieldError(f"{path or 'document'}: expected a table, found {values!r}")
        self.values: Mapping[str, object] = values
        self._path = path

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def error(self, key: str, expected: str) -> FieldError:
        """Return the error for a field."""
        found = f"found {self.values[key]!r}" if key in self.values else "it is missing"
        return FieldError(f"{self._at(key)}: expected {expected}, {found}")

    def text(self, key: str) -> str:
        """Return a string."""
        value = self.values.get(key)
        if not isinstance(value, str):
            raise self.error(key, "a string")
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a string, if there is one."""
        return self.text(key) if self.values.get(key) is not None else None

    def integer(self, key: str) -> int:
        """Return an integer."""
        value = self.values.get(key)
        if type(value) is not int:
            raise self.error(key, "an integer")
        return value

    def number(self, key: str) -> float:
        """Return an integer or a floating-point number."""
        value = self.values.get(key)
        if type(value) not in (int, float):
            raise self.error(key, "a number")
        return float(value)  # type: ignore[arg-type]

    def optional_size(self, key: str) -> int | None:
        """Return a number of bytes, if there is one."""
        value = self.values.get(key)
        if value is not None and (type(value) is not int or value < 0):
            raise self.error(key, "a number of bytes")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of strings."""
        found = tuple(value for value in self._array(key) if isinstance(value, str))
        if len(found) != len(self._array(key)):
            raise self.error(key, "an array of strings")
        return found

    def rows(self, key: str, length: int) -> list[tuple[str, ...]]:
        """Return an array of arrays of strings, each of this length."""
        array = self._array(key)
        rows = [tuple(one for one in row if isinstance(one, str)) for row in array if isinstance(row, list)]
        if len(rows) != len(array) or any(len(row) != length for row in rows):
            raise self.error(key, f"an array of arrays of {length} strings")
        return rows

    def texts_by_key(self, key: str) -> dict[str, str]:
        """Return a table of strings."""
        inner = self.table(key)
        return {name: inner.text(name) for name in inner.values}

    def table(self, key: str) -> Fields:
        """Return the table at a key, an empty one where it is missing."""
        return Fields(self.values.get(key, {}), self._at(key))

    def tables(self, key: str) -> Iterator[Fields]:
        """Return the tables of an array."""
        return (Fields(value, f"{self._at(key)}[{number}]") for number, value in enumerate(self._array(key)))

    def tables_by_key(self, key: str) -> dict[str, Fields]:
        """Return a table of tables."""
        inner = self.table(key)
        return {name: inner.table(name) for name in inner.values}

    def _array(self, key: str) -> Sequence[object]:
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.error(key, "an array")
        return value

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

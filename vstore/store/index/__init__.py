"""The SQLite index of a store."""

"""File locks between processes."""

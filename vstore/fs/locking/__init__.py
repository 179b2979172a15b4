"""File locks between processes, and waiting for them."""

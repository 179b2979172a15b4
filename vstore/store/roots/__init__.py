"""Roots, which keep objects alive. Every root but a running program is a file or a symlink on disk."""

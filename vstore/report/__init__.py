"""Answers about the content of a store: the disk space of objects and packages."""

"""vstore: a content-addressed store for layered Python environments."""

__version__ = "0.1.0"

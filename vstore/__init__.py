"""vstore: a content-addressed store for layered Python environments."""

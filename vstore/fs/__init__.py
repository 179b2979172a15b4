"""Trees on disk: hashing and freezing them, changing things atomically, locking between processes."""

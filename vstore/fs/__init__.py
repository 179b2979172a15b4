"""Files and trees on disk: reading, hashing, freezing, atomic changes, and locks between processes."""

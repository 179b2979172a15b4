"""Trees of files: manifests, hashing, validation, removal, disk usage."""

"""The transport for registries, against real ones and hostile ones."""

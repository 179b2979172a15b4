"""A layer used by other programs: a writable environment over it, its variables in a shell, kernels for Jupyter."""

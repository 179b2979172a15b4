"""Native code in layers: formats of binaries, run paths, and checks."""

"""Native code in layers: binaries, ELF files and shared libraries."""

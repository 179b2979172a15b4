"""Parts lists (SBOMs) of objects: CycloneDX and SPDX documents made from the metadata of layers."""

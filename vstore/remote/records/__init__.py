"""Records: what a cache says of its objects, realisations and channels, encoded, signed and checked."""

"""Records: the statements of a cache about its objects, realisations and channels, encoded, signed and checked."""

"""What a user may expect, whole: shared libraries, variants, other tools' bugs and example projects."""

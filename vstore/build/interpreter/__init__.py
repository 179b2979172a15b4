"""Find, adopt or download a CPython, as a relocatable tree."""

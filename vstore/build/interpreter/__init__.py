"""Interpreters: finding, adopting or downloading a CPython, as a relocatable tree."""

"""Console scripts, Windows launchers and activation scripts."""

"""Scripts of layers: launchers, and activation for shells."""

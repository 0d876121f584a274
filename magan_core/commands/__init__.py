"""Sub-commands of `magan` that are more than a call."""

"""Algorithm 1 and its semi-supervised form."""

"""MA-GANet: models, losses, metrics and the pipeline around them."""

__version__ = "0.1.0"

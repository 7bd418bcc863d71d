"""segjax: an annotation-budget laboratory for image segmentation in JAX."""

__version__ = "0.1.0"

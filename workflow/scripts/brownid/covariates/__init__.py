"""From genuine photographs to directions in latent space: projection, linear SVMs, latent editing."""

__all__ = ["directions", "projection", "settings"]

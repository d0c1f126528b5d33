"""From genuine photographs to latent space: projection, linear SVMs, within-class covariance, latent editing."""

__all__ = ["directions", "projection", "settings", "within_class"]

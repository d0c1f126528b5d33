"""Synthetic face-recognition datasets by Brownian identity diffusion, from latents to a release."""

__version__ = "0.1.0"

"""Latent diffusion: its networks, its sampling, and an unconditional generator of faces."""

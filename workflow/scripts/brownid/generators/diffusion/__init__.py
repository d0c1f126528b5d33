"""Latent diffusion models through diffusers: an unconditional one, and Arc2Face, conditioned on an embedding."""

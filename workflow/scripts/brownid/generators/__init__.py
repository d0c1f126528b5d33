"""Image generators behind one protocol: StyleGAN2, StyleGAN3, latent diffusion, Arc2Face."""

__all__ = ["protocol"]

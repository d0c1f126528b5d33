"""StyleGAN3, the alias-free generator: our own plain-PyTorch module that loads the published weights."""

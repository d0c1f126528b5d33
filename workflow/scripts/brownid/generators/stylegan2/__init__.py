"""StyleGAN2 in plain PyTorch, loadable from NVIDIA's state dicts."""

"""The dynamics of identities: pure tensors in, tensors out; any face model serves."""

__all__ = ["baselines", "dispersion", "langevin", "settings", "steps"]

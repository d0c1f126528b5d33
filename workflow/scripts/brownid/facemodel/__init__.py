"""The face model E = F(A(G(w))): generator, alignment crop and FR network as one differentiable function."""

__all__ = ["loading", "model"]

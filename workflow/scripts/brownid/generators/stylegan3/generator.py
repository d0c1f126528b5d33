"""StyleGAN3 behind the generator protocol."""

import torch
from torch import Tensor, nn

from brownid.generators.protocol import AverageFace, GeneratorDefaults
from brownid.generators.stylegan3.settings import StyleGAN3Settings
from brownid.generators.stylegan3.synthesis import MappingNetwork, SynthesisNetwork
from brownid.runtime import randomness
from brownid.runtime.errors import BrownidError

MEAN_DRAWS = 4096  # of a random network's mean latent


class StyleGAN3(GeneratorDefaults, nn.Module):
    """The generator of "Alias-Free Generative Adversarial Networks" (Karras et al. 2021), configs T and R.

    Names and shapes of parameters and buffers are those of the published networks, so `load_state_dict` is strict.
    Parameters are constants: gradients are formed for latents alone. They begin as zeros, so load some, or see
    `random_stylegan3`. There are no noise maps; an image depends on its latent alone.

    `compute_dtype` is the number format of the signals (None: that of the parameters); the input's waves, styles and
    demodulation keep that of the parameters. In float32 the images are those of the published code with `force_fp32`.

    `landmarks` are those of an average face, FFHQ's unless others are set as `AverageFace` says. Networks of FFHQ put
    frontal faces in nearly one place. FFHQ-U is not aligned: faces are only roughly centred, upright and of one size,
    and move with the latent. For these networks the default is a first guess; measure rendered images, set what you
    find as `landmarks`, and `anchor()` the generator before a fixed crop, or detect landmarks in every image.
    """

    compiles = False  # the filtered nonlinearity branches on the values of its input

    def __init__(self, settings: StyleGAN3Settings, *, compute_dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.settings, self.compute_dtype = settings, compute_dtype
        self.layers = settings.num_ws
        self.latent_dim, self.resolution = settings.w_dim, settings.img_resolution
        self.landmarks = AverageFace().points(self.resolution)
        self.mapping = MappingNetwork(
            settings.z_dim, settings.w_dim, settings.mapping_layers, settings.mapping_lr_multiplier
        )
        self.synthesis = SynthesisNetwork(settings)
        self.requires_grad_(False).eval()

    @property
    def latent_mean(self) -> Tensor:
        """The mean `[W]` of mapped latents."""
        return self.mapping.w_avg

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Standard normal `[B, Z]` to latents `[B, W]`, pulled to `latent_mean` by `truncation` (1: not at all)."""
        if z.ndim != 2 or z.shape[1] != self.settings.z_dim:
            raise BrownidError(
                f"StyleGAN3 maps random vectors of shape [batch, {self.settings.z_dim}], but got {list(z.shape)}."
            )
        with self._no_autocast():
            latents = self.mapping(z.to(self.latent_mean))
        return latents if truncation == 1 else torch.lerp(self.latent_mean, latents, truncation)

    def render(self, latents: Tensor) -> Tensor:
        """RGB images `[B, 3, H, W]`, nominally in [-1, 1], of latents; differentiable once in them.

        Latents are `[B, W]`, or `[B, layers, W]` in W+: the first for the input's pose, the others layer by layer.
        """
        if latents.ndim == 2:
            latents = latents.unsqueeze(1).expand(-1, self.layers, -1)
        if latents.shape[1:] != (self.layers, self.latent_dim):
            raise BrownidError(
                f"StyleGAN3 renders latents of shape [batch, {self.latent_dim}] or "
                f"[batch, {self.layers}, {self.latent_dim}], but got {list(latents.shape)}."
            )
        with self._no_autocast():
            return self.synthesis(latents.to(self.latent_mean), self.compute_dtype or self.latent_mean.dtype)

    def anchor(self, latent: Tensor | None = None) -> "StyleGAN3":
        """Keep the face in one place: every image gets the pose that the network predicts for one latent.

        The first thing that w decides is a rotation and a translation in the image plane. Here these are computed once,
        from `latent` (`[W]`, or `[layers, W]`; by default the mean latent), and held, whatever is rendered later; the
        rest of w acts as before, turns of the head included. With the mean latent the faces of a network trained on
        unaligned images come out roughly aligned (Alaluf et al. 2022, "Third Time's the Charm?"), so that a fixed crop
        fits them, and latents that are moved or projected cannot shift the face instead of changing it. The state
        dictionary is not touched, and loading one does not move the anchor; `release()` lets go. Returns self.
        """
        latent = self.latent_mean if latent is None else latent
        if latent.shape not in {(self.latent_dim,), (self.layers, self.latent_dim)}:
            raise BrownidError(
                f"StyleGAN3 is anchored with one latent, [{self.latent_dim}] or [{self.layers}, {self.latent_dim}], "
                f"but got {list(latent.shape)}."
            )
        with torch.no_grad():
            first = latent.reshape(-1, self.latent_dim)[:1].to(self.latent_mean)
            self.synthesis.input.pose = self.synthesis.input.pose_of(first)[0]
        return self

    def release(self) -> "StyleGAN3":
        """Undo `anchor`: the pose comes from each latent again. Returns self."""
        self.synthesis.input.pose = None
        return self

    def _no_autocast(self) -> torch.autocast:
        """The number format of every step is chosen here; waves in bfloat16 would have no positions."""
        return torch.autocast(self.latent_mean.device.type, enabled=False)


def random_stylegan3(settings: StyleGAN3Settings, seed: int = 0) -> StyleGAN3:
    """A generator with the weights that training starts from: no faces, but everything works.

    Other than at the start of training, the pose depends on w (by about 0.1), and `w_avg` is the mean of mapped
    latents. The same seed gives the same weights, whatever else draws random numbers.
    """
    generator = StyleGAN3(settings)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("weight"):
                parameter.copy_(randomness.normal(seed, f"stylegan3/{name}", [0], tuple(parameter.shape))[0])
            else:
                parameter.fill_(1.0 if name.endswith("affine.bias") else 0.0)
        for index in range(settings.mapping_layers):
            generator.mapping.get_submodule(f"fc{index}").weight.div_(settings.mapping_lr_multiplier)
        waves = generator.synthesis.input
        waves.affine.weight.mul_(0.1)
        waves.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        waves.freqs.copy_(_frequencies(len(waves.freqs), waves.bandwidth, seed))
        waves.phases.copy_(randomness.uniform(seed, "stylegan3/phases", [0], (len(waves.phases),))[0] - 0.5)
        z = randomness.normal(seed, "stylegan3/w_avg", [0], (MEAN_DRAWS, settings.z_dim))[0]
        generator.mapping.w_avg.copy_(generator.mapping(z).mean(dim=0))
    return generator


def _frequencies(count: int, bandwidth: float, seed: int) -> Tensor:
    """Frequencies `[count, 2]`, uniform in the disc of radius `bandwidth`."""
    uniform = randomness.uniform(seed, "stylegan3/freqs", [0], (2, count))[0]
    radius, angle = bandwidth * uniform[0].sqrt(), 2 * torch.pi * uniform[1]
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)

"""How much GPU memory the jobs of a configuration take, by formulas: an order of magnitude, to see what cannot work.

Steering (references, variations): weights + batch × (generator + FR network activations) × OVERHEAD
    + 4 bytes × (N · (2 D + 3 E) + M · E), N identities and M guard images: latents and forces; embeddings, others'
    embeddings and gradients. Pairs are taken in tiles, so nothing grows as N².
Training: 4 bytes × 3 × (parameters + classes · E) (weights, gradients, momentum) + 4 bytes × 3 × batch · classes
    (logits) + batch × activations × OVERHEAD, activations in bfloat16 being half.
Rendering, embedding and projection take less than steering, or shrink their batches as steering does.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from brownid.models.catalogue import Model
from brownid.preflight import networks, sizes
from brownid.preflight.finding import Finding, amount

MEMORY = "GPU memory (estimates, formulas in brownid/preflight/memory.py)"
OVERHEAD = 1.5  # working space of convolutions and gradients in flight, over what autograd keeps: an assumption


class Need(NamedTuple):
    """What a job needs: bytes whatever the batch, bytes an image, images in a batch."""

    job: str
    fixed: float
    each: float
    batch: int
    shrinks: bool  # whether the job goes on with smaller batches where the memory runs out

    @property
    def total(self) -> float:
        """Bytes at the configured batch."""
        return self.fixed + self.batch * self.each


def examine_memory(config: Mapping, catalogue: Mapping[str, Model], gpu_bytes: float | None) -> Iterator[Finding]:
    """A finding for each job that may be too large; `gpu_bytes` is what a GPU has, None where nobody knows."""
    needs, unknown = [], []
    for need in _needs(config, catalogue):
        (unknown if isinstance(need, str) else needs).append(need)
    for job in unknown:
        yield Finding("note", MEMORY, f"{job}: not estimated: the memory of its generator or network is unknown")
    for need in sorted(needs, key=lambda need: -need.total):
        if gpu_bytes is None:
            yield Finding("note", MEMORY, f"{need.job}: about {amount(need.total)} with batches of {need.batch}")
            continue
        yield _judged(need, gpu_bytes)


def gpu_memory(config: Mapping, catalogue: Mapping[str, Model]) -> list[Need]:
    """What each job needs, those with a generator or network of the user's own left out."""
    return [need for need in _needs(config, catalogue) if isinstance(need, Need)]


def _judged(need: Need, gpu_bytes: float) -> Finding:
    what = f"{need.job}: about {amount(need.total)} of {amount(gpu_bytes)} with batches of {need.batch}"
    if need.total <= gpu_bytes:
        return Finding("fine", MEMORY, what)
    fitting = int((gpu_bytes - need.fixed) / need.each)
    if fitting < 1:
        return Finding("blocks", MEMORY, what, "not even one image fits: take a larger GPU or a smaller network")
    if need.shrinks:
        return Finding("note", MEMORY, what, f"the job will go on with about {fitting} at a time; results are the same")
    return Finding(
        "blocks", MEMORY, what, f"a batch_size of {fitting} would fit, but is another recipe; or take a larger GPU"
    )


def _needs(config: Mapping, catalogue: Mapping[str, Model]) -> Iterator[Need | str]:
    for section in ("references", "variations"):
        for name, entry in config[section].items():
            yield _steering(config, section, name, entry, catalogue)
    for name, entry in sizes.training_entries(config).items():
        yield _training(config, name, entry, catalogue)


def _steering(config: Mapping, section: str, name: str, entry: Mapping, catalogue: Mapping[str, Model]) -> Need | str:
    source = entry if section == "references" else config["references"][entry["references"]]
    spec, network = config["generators"][source["generator"]], config["networks"][source["network"]]
    rendered, embedded = networks.generator_activations(spec), networks.network_activations(network)
    if rendered is None or embedded is None:
        return f"{section}.{name}"
    images = sizes.image_count(config, name, catalogue) or 0
    if section == "variations":
        images = -(-images // entry["shards"])
    guard = entry.get("leak_guard")
    guarded = (sizes.image_count(config, guard, catalogue) or 0) if guard else 0
    latent, embedding = sizes.latent_width(spec), sizes.embedding_width(network)
    numbers = images * (2 * latent + 3 * embedding) + guarded * embedding
    weights = networks.generator_weights(spec) + networks.FLOAT32 * networks.network_parameters(network)
    return Need(
        f"{section}.{name}",
        fixed=weights + networks.FLOAT32 * numbers,
        each=OVERHEAD * (rendered + embedded),
        batch=min(entry["batch_size"], images),
        shrinks=True,
    )


def _training(config: Mapping, name: str, entry: Mapping, catalogue: Mapping[str, Model]) -> Need:
    settings = entry["settings"]
    classes = sizes.class_count(config, entry["datasets"], catalogue)
    parameters = networks.network_parameters(entry) + classes * settings["embedding_dim"]
    half = 1.0 if settings["precision"] == "float32" else 0.5
    activations = networks.network_activations(entry) or 0.0
    return Need(
        f"training {name}",
        fixed=networks.FLOAT32 * 3 * parameters,
        each=OVERHEAD * half * activations + networks.FLOAT32 * 3 * classes,
        batch=settings["batch_size"],
        shrinks=False,
    )

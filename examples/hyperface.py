"""HyperFace without the workflow: pack embeddings on the hypersphere, then find latents with these embeddings.

The generator is the embedded face world, which needs no files. Run it with `python examples/hyperface.py`.
"""

from brownid import (
    InversionSettings,
    PackingSettings,
    backbone,
    invert,
    load_face_model,
    pack,
    random_latents,
    save_backbone,
)

IDENTITIES, GALLERY = 8, 32


def main() -> None:
    """Pack 8 identities near a gallery of 32 random faces, and invert the packed embeddings."""
    save_backbone("network.safetensors", backbone("slim", "slim_iresnet", image_size=32))  # yours is trained
    world = {"family": "procedural", "latent_dim": 128, "image_size": 32}
    network = {"template": "two_eye", "precision": "float32"}
    model = load_face_model({"generator": world, "network": network}, "network.safetensors")
    latents = random_latents(model.generator, range(GALLERY), truncation=0.7, seed=1)
    faces = model.embed(latents)

    packing = pack(faces[:IDENTITIES], faces, PackingSettings(iterations=100, decay_every=10), seed=1)
    nearest = packing.statistics["nn_avg"]
    print(f"mean angle to the nearest neighbour: {nearest[0]:.3f} rad at the start, {nearest[-1]:.3f} rad packed")

    settings = InversionSettings(iterations=4, latent_weight=0.0)
    found = invert(model, packing.references, latents[:IDENTITIES], settings, seed=1)
    print(f"mean angle between target and face: {found.angles.mean():.3f} rad")


if __name__ == "__main__":
    main()

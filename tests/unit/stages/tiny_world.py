"""Settings of the smallest face model, as the configuration would give them to a stage."""

SIDE, LATENT_DIM, IDENTITIES = 32, 128, 5
NETWORK = {"family": "slim", "architecture": "slim_iresnet", "image_size": SIDE}
FACE_MODEL = {
    "seed": 3,
    "generator": {"family": "procedural", "latent_dim": LATENT_DIM, "image_size": SIDE, "world_seed": 1},
    "generator_name": "world",
    "network": {**NETWORK, "template": "two_eye", "precision": "float32"},
    "network_name": "slim",
}

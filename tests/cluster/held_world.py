"""The embedded world, with an accident: the first job that gets far enough stops there, later ones go on.

Named in configurations as `held_world:world`; this folder must be on PYTHONPATH.
"""

import time
from pathlib import Path

from brownid.world.generator import ProceduralGenerator

PASSES = 4  # the pass through the generator at which the accident happens
PATIENCE = 300  # seconds until a job that nobody ends goes on by itself


def world(latent_dim, image_size, accident, device="cpu"):
    """A procedural world whose `accident` is "none", "stall NAME", "memory NAME" or "wait NAME".

    The file NAME.started says that it has happened. "stall" does nothing more until the job is ended, "memory" takes
    memory first, "wait" goes on when there is a file NAME.released.
    """
    generator = ProceduralGenerator(latent_dim=latent_dim, image_size=image_size, device=device)
    kind, _, name = accident.partition(" ")
    started, released = Path(f"{name}.started"), Path(f"{name}.released")
    render, passes = generator.render, 0

    def held(latents):
        nonlocal passes
        passes += 1
        if passes == PASSES and kind != "none" and not started.exists():
            started.touch()
            taken = [bytearray(b"x") * (64 << 20) for _ in range(48 if kind == "memory" else 0)]  # 3 GiB
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end and not released.exists():
                time.sleep(0.2)
            del taken
        return render(latents)

    generator.render = held
    return generator

"""The Lightning module: network, margin head, optimiser and learning-rate schedule."""

from dataclasses import asdict

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.precision import autocast
from brownid.randomness import stream
from brownid.recognition.backbones import backbone
from brownid.recognition.embedding import raw_embeddings
from brownid.recognition.heads import HEADS, MarginHead
from brownid.training.augmentation import augment
from brownid.training.data import Batch
from brownid.training.settings import TrainingSettings


class RecognitionModule(lightning.LightningModule):
    """Trains `model` (the network, its keys prefixed `model.` in a checkpoint) under `head`.

    `steps` is the number of batches of an epoch; `precision` is resolved ("float32" or "bfloat16").
    """

    def __init__(
        self, settings: TrainingSettings, *, classes: int, side: int, seed: int, steps: int, precision: str = "float32"
    ):
        super().__init__()
        self.save_hyperparameters(
            {
                **asdict(settings),
                "milestones": list(settings.milestones),
                "classes": classes,
                "side": side,
                "seed": seed,
            }
        )
        self.settings = settings
        self.seed = seed
        self.steps = steps
        self.precision = precision
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_torch_seed(seed, "training/initialisation"))
            network = backbone(settings.family, settings.architecture, side, settings.embedding_dim)
            self.head = make_head(settings, classes)
        self.model = network.to(memory_format=torch.channels_last)
        self.history: list[dict[str, float]] = []
        self._images = 0
        self._loss = self._correct = torch.zeros((), dtype=torch.float64)

    def training_step(self, batch: Batch, number: int) -> Tensor:
        images = self.prepare(batch)
        with autocast(self.precision, self.device):
            embeddings = raw_embeddings(self.model, images)
        cosines = self.head.cosines(embeddings)
        loss = F.cross_entropy(self.head.logits(cosines, embeddings, batch.labels), batch.labels)
        with torch.no_grad():
            self._images += len(images)
            self._loss = self._loss + loss.double() * len(images)
            self._correct = self._correct + (cosines.argmax(1) == batch.labels).sum()
        return loss

    def prepare(self, batch: Batch) -> Tensor:
        """The augmented images `[B, 3, S, S]` in [-1, 1] that the network is shown."""
        return augment(batch.images, batch.numbers, self.settings)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(_torch_seed(self.seed, "training/dropout", self.current_epoch))
        self._images = 0
        self._loss = self._correct = torch.zeros((), dtype=torch.float64, device=self.device)
        self._learning_rate = self.optimizers().param_groups[0]["lr"]

    def on_train_epoch_end(self) -> None:
        self.history.append(
            {
                "epoch": self.current_epoch + 1,
                "images_seen": self._images + (self.history[-1]["images_seen"] if self.history else 0),
                "loss": (self._loss / self._images).item(),
                "accuracy": (self._correct / self._images).item(),
                "learning_rate": self._learning_rate,
            }
        )

    def configure_optimizers(self) -> dict:
        settings = self.settings
        groups = weight_decay_groups(self, settings.weight_decay)
        if settings.optimiser == "sgd":
            optimiser = torch.optim.SGD(groups, settings.learning_rate, momentum=settings.momentum)
        else:
            optimiser = torch.optim.AdamW(groups, settings.learning_rate, betas=(settings.momentum, 0.999))
        if settings.schedule == "steps":
            schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, settings.milestones, settings.decay)
            return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            settings.learning_rate,
            total_steps=settings.epochs * self.steps,
            pct_start=settings.warm_up,
            cycle_momentum=False,
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device, non_blocking=True)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.history = checkpoint["history"]


def make_head(settings: TrainingSettings, classes: int) -> MarginHead:
    """The margin head that the settings name."""
    options = {"margin": settings.margin, "scale": settings.scale}
    if settings.head == "adaface":
        options |= {"h": settings.h, "t_alpha": settings.t_alpha}
    return HEADS[settings.head](settings.embedding_dim, classes, **options)


def weight_decay_groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """Two parameter groups: kernels and matrices decay; batch-norm, PReLU and biases (one-dimensional) do not."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _torch_seed(seed: int, purpose: str, epoch: int = 0) -> int:
    return int(stream(seed, purpose, iteration=epoch).integers(2**62))

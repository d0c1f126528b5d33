"""Training of face-recognition networks: settings, data, augmentation, what is trained and its run."""

__all__ = ["run", "settings"]

"""Training of face-recognition networks: settings, data, augmentation, the Lightning module and its run."""

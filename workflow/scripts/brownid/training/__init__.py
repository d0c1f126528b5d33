"""Training of face-recognition networks: settings, data, augmentation, what is trained and its run."""

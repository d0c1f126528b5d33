"""What a run is made of: a checked configuration, the settings of each stage, the fingerprint of its code."""

"""The checked configuration, the settings of each stage, and the fingerprint of its code."""

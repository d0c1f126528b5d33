"""The published files that the experiments build on: which there are, fetching them, checking them."""

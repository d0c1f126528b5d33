"""Training sets (references and variations joined, with class labels) and the file layouts they are given away in."""

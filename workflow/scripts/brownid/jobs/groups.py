"""The groups of a controlled capture that covariates are fitted and tested on."""

FITTED, HELD_OUT = "train", "eval"

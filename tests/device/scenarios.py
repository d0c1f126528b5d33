"""The scenarios of the library, those of parts that `brownid doctor` leaves out, and which agree to the last bit."""

from brownid.planning import scenarios

SCENARIOS = dict(scenarios.SCENARIOS)
ROUNDED = {"langevin in bfloat16"}  # autocast casts other operations on a GPU than on a CPU
EXACT = set(SCENARIOS) - ROUNDED

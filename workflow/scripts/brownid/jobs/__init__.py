"""How one job runs: in several processes, and from the state that an interrupted one left."""

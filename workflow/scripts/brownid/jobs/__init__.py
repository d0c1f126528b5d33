"""How one job runs: its processes, the loop over its iterations, and states from which it resumes."""

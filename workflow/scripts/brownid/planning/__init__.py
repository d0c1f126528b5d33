"""Requirements of a run before it starts: files, packages, jobs, GPU-hours, memory and disk."""

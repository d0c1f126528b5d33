"""What a run needs and takes: missing files and packages, jobs, GPU-hours, memory and disk, before it starts."""

"""What a run will take: jobs, GPU-hours, memory and disk, before it starts."""

"""Snakemake with the pause between two looks at the queue limited to a second.

The Slurm plugin lengthens that pause by ten seconds after each look at which no job had succeeded, which is right for
a cluster that others use, and much too slow for a test. Everything else is Snakemake's own command line.
"""

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def _short_pause(self):
    await asyncio.sleep(1)


RemoteExecutor.sleep = _short_pause

if __name__ == "__main__":
    sys.exit(main())

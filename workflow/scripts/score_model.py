"""Score an FR network on the benchmarks."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings, snakemake.resources)

from brownid.jobs.score_model import score_model

score_model(
    snakemake.params.settings,
    weights=snakemake.input.weights,
    benchmarks=snakemake.input.benchmarks,
    failures=snakemake.input.failures,
    scores=snakemake.output.scores,
)

"""Turn a benchmark of one's own into a .bin file of the crops that a network reads."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.prepare_benchmark import prepare_benchmark

alignment = snakemake.config["benchmarks"][snakemake.wildcards.benchmark]["alignment"] or {}
prepare_benchmark(
    snakemake.params.settings,
    source=next(iter(snakemake.input.source), None),
    pairs=next(iter(snakemake.input.pairs), None),
    benchmark=snakemake.output.benchmark,
    failures=snakemake.output.failures,
    detector=snakemake.config["detectors"].get(alignment.get("detector")),
)

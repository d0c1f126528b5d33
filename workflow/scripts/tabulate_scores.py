"""Compare the scores of all networks."""

from brownid.runtime import start_job

start_job(snakemake.log[0], snakemake.threads, snakemake.params.settings)

from brownid.jobs.tabulate_scores import tabulate_scores

tabulate_scores(
    snakemake.params.settings,
    scores=snakemake.input.scores,
    table=snakemake.output.table,
    accuracies=snakemake.output.accuracies,
    markdown=snakemake.output.markdown,
    page=snakemake.output.page,
    chart=snakemake.output.chart,
    roc=snakemake.output.roc,
)

"""References: one latent per identity, random, by rejection, by repulsion, or by Langevin dynamics."""


rule sample_references:
    input:
        weights=lambda w: paths.references_weights(config, w.references),
        start=lambda w: paths.start(config, w.references),
        guarded=lambda w: paths.leak_guard(config, w.references),
        within_class=lambda w: paths.nuisance_covariates(config, w.references),
        generator=lambda w: paths.references_generator_files(config, w.references),
    output:
        samples="results/references/{references}/samples.h5",
        statistics="results/references/{references}/stats.h5",
        command="results/references/{references}/command.yml",
    log:
        "logs/sample_references/{references}.log",
    benchmark:
        "logs/benchmarks/sample_references/{references}.tsv"
    wildcard_constraints:
        references=paths.sampled(config),
    priority: 1
    conda:
        "../../envs/torch-gpu.yaml"
    threads: processes
    resources:
        gpu=processes,
        nodes=1,
        mem_mb=lambda w, attempt: 8000 * processes(w) * attempt,
        runtime=growing(480),
    params:
        state=stages.placed("results/state/references/{references}", PREFIX),
        settings=settings("sample_references"),
        code=code("sample_references", "torch-gpu"),
    message:
        "Sample the references {wildcards.references}"
    script:
        "../scripts/sample_references.py"

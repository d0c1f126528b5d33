"""Variations: several latents per identity, by Dispersion, DisCo, within-class, HyperFace or latent editing."""


rule vary_references:
    input:
        references=lambda w: paths.samples(
            config, config["variations"][w.variations]["references"]
        ),
        weights=lambda w: paths.references_weights(config, w.variations),
        covariates=lambda w: paths.variation_covariates(config, w.variations),
        generator=lambda w: paths.references_generator_files(config, w.variations),
    output:
        samples="results/variations/{variations}/shards/{shard}-of-{shards}.h5",
        statistics="results/variations/{variations}/shards/{shard}-of-{shards}.stats.h5",
    log:
        "logs/vary_references/{variations}.{shard}-of-{shards}.log",
    benchmark:
        "logs/benchmarks/vary_references/{variations}.{shard}-of-{shards}.tsv"
    priority: 1
    conda:
        "../../envs/torch-gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        state=stages.placed(
            "results/state/variations/{variations}/{shard}-of-{shards}", PREFIX
        ),
        settings=settings("vary_references"),
        code=code("vary_references", "torch-gpu"),
    message:
        "Generate the variations {wildcards.variations}, shard {wildcards.shard} of {wildcards.shards}"
    script:
        "../scripts/vary_references.py"


rule merge_variations:
    input:
        shard_samples=lambda w: paths.variation_shards(config, w.variations, "h5"),
        shard_statistics=lambda w: paths.variation_shards(
            config, w.variations, "stats.h5"
        ),
        references=lambda w: paths.samples(
            config, config["variations"][w.variations]["references"]
        ),
        weights=lambda w: paths.references_weights(config, w.variations),
        covariates=lambda w: paths.variation_covariates(config, w.variations),
        generator=lambda w: paths.references_generator_files(config, w.variations),
    output:
        samples="results/variations/{variations}/samples.h5",
        statistics="results/variations/{variations}/stats.h5",
        command="results/variations/{variations}/command.yml",
    log:
        "logs/merge_variations/{variations}.log",
    benchmark:
        "logs/benchmarks/merge_variations/{variations}.tsv"
    priority: 1
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings("merge_variations"),
        code=code("merge_variations", "torch"),
    message:
        "Merge the shards of {wildcards.variations}"
    script:
        "../scripts/merge_variations.py"

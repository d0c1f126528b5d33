"""Covariates: project genuine images into latent space, fit linear SVMs and the within-class covariance."""


rule fit_warm_start:
    input:
        weights=lambda w: paths.weights(
            config, config["covariates"][w.covariates]["network"]
        ),
        generator=lambda w: paths.generator_files(
            config, config["covariates"][w.covariates]["generator"]
        ),
    output:
        warm_start="results/covariates/{covariates}/warm_start.safetensors",
    log:
        "logs/fit_warm_start/{covariates}.log",
    benchmark:
        "logs/benchmarks/fit_warm_start/{covariates}.tsv"
    priority: 1
    conda:
        "../../envs/torch-gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        settings=settings("fit_warm_start"),
        code=code("fit_warm_start", "torch-gpu"),
    message:
        "Fit the warm start of the projection for {wildcards.covariates}"
    script:
        "../scripts/fit_warm_start.py"


rule project_database:
    input:
        index=lambda w: paths.database_index(
            config, config["covariates"][w.covariates]["database"]
        ),
        manifest=lambda w: paths.capture_manifest(
            config, config["covariates"][w.covariates]["database"]
        ),
        weights=lambda w: paths.weights(
            config, config["covariates"][w.covariates]["network"]
        ),
        warm_start=lambda w: paths.warm_start(config, w.covariates),
        generator=lambda w: paths.generator_files(
            config, config["covariates"][w.covariates]["generator"]
        ),
        vgg16=lambda w: paths.vgg16_file(config, w.covariates, "weights"),
        vgg16_linear=lambda w: paths.vgg16_file(config, w.covariates, "linear"),
        detector_files=lambda w: paths.detector_files(
            config, "databases", config["covariates"][w.covariates]["database"]
        ),
    output:
        samples="results/covariates/{covariates}/latents/{shard}-of-{shards}.h5",
        failures="results/covariates/{covariates}/latents/{shard}-of-{shards}.failures.csv",
    log:
        "logs/project_database/{covariates}.{shard}-of-{shards}.log",
    benchmark:
        "logs/benchmarks/project_database/{covariates}.{shard}-of-{shards}.tsv"
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
            "results/state/covariates/{covariates}/{shard}-of-{shards}", PREFIX
        ),
        settings=settings("project_database"),
        code=code("project_database", "torch-gpu"),
    message:
        "Project the images of {wildcards.covariates} into latent space, shard {wildcards.shard} of {wildcards.shards}"
    script:
        "../scripts/project_database.py"


rule fit_covariates:
    input:
        shard_samples=lambda w: paths.projection_shards(config, w.covariates, "h5"),
        shard_failures=lambda w: paths.projection_shards(
            config, w.covariates, "failures.csv"
        ),
        index=lambda w: paths.database_index(
            config, config["covariates"][w.covariates]["database"]
        ),
    output:
        covariates="results/covariates/{covariates}/covariates.h5",
        summary=report(
            "results/covariates/{covariates}/summary.csv",
            caption="../report/covariates.rst",
            category="Ground truth",
            labels={"entry": "{covariates}", "figure": "covariates"},
        ),
        failures="results/covariates/{covariates}/failures.csv",
    log:
        "logs/fit_covariates/{covariates}.log",
    benchmark:
        "logs/benchmarks/fit_covariates/{covariates}.tsv"
    priority: 1
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        settings=settings("fit_covariates"),
        code=code("fit_covariates", "torch"),
    message:
        "Fit the covariates {wildcards.covariates}"
    script:
        "../scripts/fit_covariates.py"


rule fit_within_class:
    input:
        shard_samples=lambda w: paths.projection_shards(config, w.covariates, "h5"),
        shard_failures=lambda w: paths.projection_shards(
            config, w.covariates, "failures.csv"
        ),
        index=lambda w: paths.database_index(
            config, config["covariates"][w.covariates]["database"]
        ),
    output:
        within_class="results/covariates/{covariates}/within_class.h5",
        table=report(
            "results/tables/within_class/{covariates}.csv",
            caption="../report/within_class.rst",
            category="Within-class covariance",
            labels={"entry": "{covariates}", "figure": "table"},
        ),
        failures="results/covariates/{covariates}/within_class.failures.csv",
    log:
        "logs/fit_within_class/{covariates}.log",
    benchmark:
        "logs/benchmarks/fit_within_class/{covariates}.tsv"
    priority: 1
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings("fit_within_class"),
        code=code("fit_within_class", "torch"),
    message:
        "Fit the within-class covariance of {wildcards.covariates}"
    script:
        "../scripts/fit_within_class.py"


rule show_within_class:
    input:
        within_class="results/covariates/{covariates}/within_class.h5",
        generator=lambda w: paths.generator_files(
            config, config["covariates"][w.covariates]["generator"]
        ),
    output:
        figure=report(
            "results/figures/within_class/{covariates}.png",
            caption="../report/within_class.rst",
            category="Within-class covariance",
            labels={"entry": "{covariates}", "figure": "spectrum and faces"},
        ),
    log:
        "logs/show_within_class/{covariates}.log",
    benchmark:
        "logs/benchmarks/show_within_class/{covariates}.tsv"
    conda:
        "../../envs/torch-gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        settings=settings("show_within_class"),
        code=code("show_within_class", "torch-gpu"),
    message:
        "Show the within-class covariance of {wildcards.covariates}"
    script:
        "../scripts/show_within_class.py"

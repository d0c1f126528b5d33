"""Benchmarks: verification pairs, the scores of every network on them, and the tables that compare them."""


rule capture_benchmark:
    output:
        benchmark="results/benchmarks/{benchmark}.{image_size}.bin",
        persons="results/benchmarks/{benchmark}.{image_size}.persons.csv",
    log:
        "logs/capture_benchmark/{benchmark}.{image_size}.log",
    wildcard_constraints:
        benchmark=paths.one_of(paths.captured_benchmarks(config)),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        settings=settings("capture_benchmark"),
        code=code("capture_benchmark", "torch"),
    message:
        "Render the stand-in for the benchmark {wildcards.benchmark}, {wildcards.image_size} pixels, in the embedded world"
    script:
        "../scripts/capture_benchmark.py"


rule prepare_benchmark:
    input:
        source=lambda w: paths.benchmark_source(config, w.benchmark),
        pairs=lambda w: paths.benchmark_pairs(config, w.benchmark),
        detector_files=lambda w: paths.detector_files(config, "benchmarks", w.benchmark),
    output:
        benchmark="results/benchmarks/{benchmark}.{template}_{image_size}.bin",
        persons="results/benchmarks/{benchmark}.{template}_{image_size}.persons.csv",
        failures="results/benchmarks/{benchmark}.{template}_{image_size}.failures.csv",
    log:
        "logs/prepare_benchmark/{benchmark}.{template}_{image_size}.log",
    wildcard_constraints:
        benchmark=paths.one_of(paths.prepared_benchmarks(config)),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        settings=settings("prepare_benchmark"),
        code=code("prepare_benchmark", "torch"),
    message:
        "Prepare the benchmark {wildcards.benchmark} as {wildcards.template} crops of {wildcards.image_size} pixels"
    script:
        "../scripts/prepare_benchmark.py"


rule score_model:
    input:
        weights=lambda w: paths.weights(config, w.model),
        benchmarks=lambda w: paths.benchmark_files(config, w.model),
        persons=lambda w: paths.benchmark_persons(config, w.model),
        failures=lambda w: paths.benchmark_failures(config, w.model),
    output:
        scores="results/scores/{model}.json",
        pairs="results/scores/{model}.pairs.parquet",
    log:
        "logs/score_model/{model}.log",
    benchmark:
        "logs/benchmarks/score_model/{model}.tsv"
    conda:
        "../../envs/torch-gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        settings=settings("score_model"),
        code=code("score_model", "torch-gpu"),
    message:
        "Score {wildcards.model} on the benchmarks"
    script:
        "../scripts/score_model.py"


rule tabulate_scores:
    input:
        scores=paths.scored(config, "json"),
        pairs=paths.scored(config, "pairs.parquet"),
    output:
        table="results/tables/scores.csv",
        accuracies="results/tables/accuracies.csv",
        error_rates="results/tables/error_rates.csv",
        text="results/tables/scores.md",
        page=report(
            "results/tables/scores.html",
            caption="../report/scores.rst",
            category="Scores",
        ),
        chart=report(
            "results/figures/scores.png",
            caption="../report/scores.rst",
            category="Scores",
        ),
        roc=report(
            "results/figures/roc.png", caption="../report/roc.rst", category="Scores"
        ),
        det=report(
            "results/figures/det.png", caption="../report/det.rst", category="Scores"
        ),
    log:
        "logs/tabulate_scores.log",
    localrule: True
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings("tabulate_scores"),
        code=code("tabulate_scores", "plots"),
    message:
        "Tabulate the scores of all networks"
    script:
        "../scripts/tabulate_scores.py"


rule compare_scores:
    input:
        pairs=paths.scored(config, "pairs.parquet"),
    output:
        table="results/tables/differences.csv",
        text="results/tables/differences.md",
        page=report(
            "results/tables/differences.html",
            caption="../report/differences.rst",
            category="Scores",
        ),
        chart=report(
            "results/figures/differences.png",
            caption="../report/differences.rst",
            category="Scores",
        ),
    log:
        "logs/compare_scores.log",
    localrule: True
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings("compare_scores"),
        code=code("compare_scores", "plots"),
    message:
        "Compare the accuracies of entries"
    script:
        "../scripts/compare_scores.py"

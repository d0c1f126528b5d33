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
        benchmarks=lambda w: paths.benchmark_files(config, w.group, w.model),
        persons=lambda w: paths.benchmark_persons(config, w.group, w.model),
        failures=lambda w: paths.benchmark_failures(config, w.group, w.model),
    output:
        scores="results/scores/{group}/{model}.json",
        pairs="results/scores/{group}/{model}.pairs.parquet",
    log:
        "logs/score_model/{group}/{model}.log",
    benchmark:
        "logs/benchmarks/score_model/{group}/{model}.tsv"
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
        "Score {wildcards.model} on the {wildcards.group} benchmarks"
    script:
        "../scripts/score_model.py"


rule tabulate_scores:
    input:
        scores=lambda w: paths.scored(config, w.group, "json"),
        pairs=lambda w: paths.scored(config, w.group, "pairs.parquet"),
    output:
        table="results/tables/{group}/scores.csv",
        accuracies="results/tables/{group}/accuracies.csv",
        error_rates="results/tables/{group}/error_rates.csv",
        text="results/tables/{group}/scores.md",
        page=report(
            "results/tables/{group}/scores.html",
            caption="../report/scores.rst",
            category="Scores",
            subcategory="{group}",
        ),
        chart=report(
            "results/figures/{group}/scores.png",
            caption="../report/scores.rst",
            category="Scores",
            subcategory="{group}",
        ),
        roc=report(
            "results/figures/{group}/roc.png",
            caption="../report/roc.rst",
            category="Scores",
            subcategory="{group}",
        ),
        det=report(
            "results/figures/{group}/det.png",
            caption="../report/det.rst",
            category="Scores",
            subcategory="{group}",
        ),
    log:
        "logs/tabulate_scores/{group}.log",
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
        "Tabulate the scores of all networks on the {wildcards.group} benchmarks"
    script:
        "../scripts/tabulate_scores.py"


rule compare_scores:
    input:
        pairs=lambda w: paths.scored(config, w.group, "pairs.parquet"),
    output:
        table="results/tables/{group}/differences.csv",
        text="results/tables/{group}/differences.md",
        page=report(
            "results/tables/{group}/differences.html",
            caption="../report/differences.rst",
            category="Scores",
            subcategory="{group}",
        ),
        chart=report(
            "results/figures/{group}/differences.png",
            caption="../report/differences.rst",
            category="Scores",
            subcategory="{group}",
        ),
    log:
        "logs/compare_scores/{group}.log",
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
        "Compare the accuracies of entries on the {wildcards.group} benchmarks"
    script:
        "../scripts/compare_scores.py"

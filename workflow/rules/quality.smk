"""Quality of the datasets by the judge's embeddings: consistency, genuine and impostor angles, diversity, leaks."""


rule measure_quality:
    input:
        embeddings=lambda w: paths.judged_embeddings(config, w.dataset),
        guarded=lambda w: paths.judged_leak_guard(config, w.dataset),
    output:
        quality="results/quality/{dataset}.json",
        identities="results/quality/{dataset}.identities.csv",
    log:
        "logs/measure_quality/{dataset}.log",
    benchmark:
        "logs/benchmarks/measure_quality/{dataset}.tsv"
    wildcard_constraints:
        dataset=paths.one_of(products.judged_datasets(config)),
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(16000),
        runtime=growing(120),
    params:
        settings=settings("measure_quality"),
        code=code("measure_quality", "plots"),
    message:
        "Measure the quality of {wildcards.dataset} by the judge's embeddings"
    script:
        "../scripts/measure_quality.py"


rule tabulate_quality:
    input:
        measured=[
            f"results/quality/{name}.json" for name in products.judged_datasets(config)
        ],
        controls=products.controls(config),
    output:
        table="results/tables/quality.csv",
        page=report(
            "results/tables/quality.html",
            caption="../report/quality.rst",
            category="Quality",
            labels={"figure": "table"},
        ),
        figure=report(
            "results/figures/quality.png",
            caption="../report/quality.rst",
            category="Quality",
            labels={"figure": "consistency and diversity"},
        ),
        distance_figures=[
            report(
                f"results/figures/distances/{name}.judge.png",
                caption="../report/genuine_angles.rst",
                category="Distances",
                labels={"dataset": name, "figure": "against genuine images"},
            )
            for name in products.compared_datasets(config)
        ],
        distance_tables=[
            f"results/tables/distances/{name}.judge.csv"
            for name in products.compared_datasets(config)
        ],
    log:
        "logs/tabulate_quality.log",
    localrule: True
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=settings("tabulate_quality"),
        code=code("tabulate_quality", "plots"),
    message:
        "Compare the quality of all datasets"
    script:
        "../scripts/tabulate_quality.py"

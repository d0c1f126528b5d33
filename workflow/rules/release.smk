"""The release: export training sets, package them with the datasets and models, then verify the package."""


rule export_training_set:
    input:
        lambda w: products.files(
            [
                [part["images"], part["samples"]]
                for part in stages.export_training_set(
                    config, w.layout, w.training_set
                )["parts"]
            ]
        ),
    output:
        record="results/exports/{layout}/{training_set}/export.json",
    log:
        "logs/export_training_set/{layout}/{training_set}.log",
    benchmark:
        "logs/benchmarks/export_training_set/{layout}/{training_set}.tsv"
    wildcard_constraints:
        layout=r"[a-z]+",
        training_set=r"[A-Za-z0-9_-]+",
    priority: 1
    conda:
        "../../envs/plots.yaml"
    threads: 4
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        settings=settings("export_training_set"),
        code=code("export_training_set", "plots"),
    message:
        "Write the training set {wildcards.training_set} as {wildcards.layout}"
    script:
        "../scripts/export_training_set.py"


rule package_release:
    input:
        products.files(products.release_parts(config)),
    output:
        manifest="results/release/{release}/manifest.csv",
    log:
        "logs/package_release/{release}.log",
    benchmark:
        "logs/benchmarks/package_release/{release}.tsv"
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        settings=settings("package_release"),
        code=code("package_release", "plots"),
    message:
        "Package the release {wildcards.release}"
    script:
        "../scripts/package_release.py"


rule verify_release:
    input:
        manifest="results/release/{release}/manifest.csv",
    output:
        verified="results/release/{release}.verified.txt",
    log:
        "logs/verify_release/{release}.log",
    conda:
        "../../envs/plots.yaml"
    threads: 4
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        code=code("verify_release", "plots"),
    message:
        "Verify the release {wildcards.release}"
    script:
        "../scripts/verify_release.py"

"""The release: package the datasets and models that the configuration names, then verify the package."""


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

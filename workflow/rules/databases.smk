"""Genuine databases: render stand-ins in the embedded world, index and align the images."""


rule capture_database:
    output:
        manifest="results/databases/{database}/capture.csv",
    log:
        "logs/capture_database/{database}.log",
    priority: 1
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        settings=settings("capture_database"),
        code=code("capture_database", "torch"),
    message:
        "Render the stand-in for the database {wildcards.database} in the embedded world"
    script:
        "../scripts/capture_database.py"


rule index_database:
    input:
        manifest=lambda w: paths.capture_manifest(config, w.database),
        published_index=lambda w: paths.database_files(config, w.database, "index"),
        lists=lambda w: paths.database_files(config, w.database, "lists"),
        metadata=lambda w: paths.database_files(config, w.database, "metadata"),
        landmarks=lambda w: paths.database_files(config, w.database, "landmarks"),
    output:
        index="results/databases/{database}/index.sqlite",
    log:
        "logs/index_database/{database}.log",
    priority: 1
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        settings=settings("index_database"),
        code=code("index_database", "torch"),
    message:
        "Index the database {wildcards.database}"
    script:
        "../scripts/index_database.py"


rule align_database:
    input:
        index="results/databases/{database}/index.sqlite",
        manifest=lambda w: paths.capture_manifest(config, w.database),
        detector_files=lambda w: paths.detector_files(config, "databases", w.database),
    output:
        images="results/images/{database}/{shard}-of-{shards}.arrow",
        failures="results/images/{database}/{shard}-of-{shards}.failures.csv",
    log:
        "logs/align_database/{database}.{shard}-of-{shards}.log",
    benchmark:
        "logs/benchmarks/align_database/{database}.{shard}-of-{shards}.tsv"
    priority: 1
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(120),
    params:
        settings=settings("align_database"),
        code=code("align_database", "torch"),
    message:
        "Align the images of {wildcards.database}"
    script:
        "../scripts/align_database.py"

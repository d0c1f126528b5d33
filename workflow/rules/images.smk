"""Images: render and align the latents of a dataset, realign a dataset to another template, embed images."""


rule render_images:
    input:
        samples=lambda w: paths.samples(config, w.dataset),
        generator=lambda w: paths.references_generator_files(config, w.dataset),
    output:
        images="results/images/{dataset}/{shard}-of-{shards}.arrow",
    log:
        "logs/render_images/{dataset}.{shard}-of-{shards}.log",
    benchmark:
        "logs/benchmarks/render_images/{dataset}.{shard}-of-{shards}.tsv"
    priority: 1
    conda:
        "../../envs/torch-gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        settings=settings("render_images"),
        code=code("render_images", "torch-gpu"),
    message:
        "Render and align the images of {wildcards.dataset}, shard {wildcards.shard} of {wildcards.shards}"
    script:
        "../scripts/render_images.py"


rule realign_images:
    input:
        source=lambda w: f"results/images/{paths.original(config, w.realigned)}/{w.shard}-of-{w.shards}.arrow",
    output:
        images="results/images/{realigned}/{shard}-of-{shards}.arrow",
    log:
        "logs/realign_images/{realigned}.{shard}-of-{shards}.log",
    benchmark:
        "logs/benchmarks/realign_images/{realigned}.{shard}-of-{shards}.tsv"
    priority: 1
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings("realign_images"),
        code=code("realign_images", "torch"),
    message:
        "Realign the images of {wildcards.realigned}, shard {wildcards.shard} of {wildcards.shards}"
    script:
        "../scripts/realign_images.py"


rule embed_dataset:
    input:
        images=lambda w: paths.image_shards(config, w.dataset),
        weights=lambda w: paths.weights(config, w.network),
    output:
        samples="results/embeddings/{network}/{dataset}.h5",
        failures="results/embeddings/{network}/{dataset}.failures.csv",
    log:
        "logs/embed_dataset/{network}/{dataset}.log",
    benchmark:
        "logs/benchmarks/embed_dataset/{network}/{dataset}.tsv"
    wildcard_constraints:
        dataset=paths.alternatives(config, *DATASETS),
    priority: 1
    conda:
        "../../envs/torch-gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(16000),
        runtime=growing(120),
    params:
        state=stages.placed("results/state/embeddings/{network}/{dataset}", PREFIX),
        settings=settings("embed_dataset"),
        code=code("embed_dataset", "torch-gpu"),
    message:
        "Embed the images of {wildcards.dataset} with {wildcards.network}"
    script:
        "../scripts/embed_dataset.py"

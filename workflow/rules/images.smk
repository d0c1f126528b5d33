"""Images: render the latents of a dataset and crop them to the FR template."""


rule render_images:
    input:
        samples=lambda w: paths.samples(config, w.dataset),
    output:
        images="results/images/{dataset}/{shard}-of-{shards}.arrow",
    log:
        "logs/render_images/{dataset}.{shard}-of-{shards}.log",
    benchmark:
        "logs/benchmarks/render_images/{dataset}.{shard}-of-{shards}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=240,
    params:
        settings=settings("render_images", "dataset"),
        code=code("render_images", "torch"),
    message:
        "Render and align the images of {wildcards.dataset}, part {wildcards.shard} of {wildcards.shards}"
    script:
        "../scripts/render_images.py"

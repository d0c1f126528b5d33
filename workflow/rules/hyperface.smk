"""HyperFace: references packed on the embedding hypersphere, then inverted into the generator's latent space."""


rule embed_faces:
    input:
        weights=lambda w: paths.references_weights(config, w.references),
        generator=lambda w: paths.references_generator_files(config, w.references),
    output:
        samples="results/hyperface/{references}/faces.h5",
    log:
        "logs/embed_faces/{references}.log",
    benchmark:
        "logs/benchmarks/embed_faces/{references}.tsv"
    priority: 1
    conda:
        "../../envs/torch-gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        settings=settings("embed_faces"),
        code=code("embed_faces", "torch-gpu"),
    message:
        "Embed random faces as start and gallery of the packing of {wildcards.references}"
    script:
        "../scripts/embed_faces.py"


rule pack_references:
    input:
        start=lambda w: paths.packing_start(config, w.references),
        gallery=lambda w: paths.packing_gallery(config, w.references),
    output:
        samples="results/hyperface/{references}/targets.h5",
        statistics="results/hyperface/{references}/stats.h5",
        command="results/hyperface/{references}/command.yml",
    log:
        "logs/pack_references/{references}.log",
    benchmark:
        "logs/benchmarks/pack_references/{references}.tsv"
    priority: 1
    conda:
        "../../envs/torch-gpu.yaml"
    threads: processes
    resources:
        gpu=processes,
        nodes=1,
        mem_mb=lambda w, attempt: 8000 * processes(w) * attempt,
        runtime=growing(480),
    params:
        state=stages.placed("results/state/hyperface/{references}", PREFIX),
        settings=settings("pack_references"),
        code=code("pack_references", "torch-gpu"),
    message:
        "Pack the reference embeddings of {wildcards.references} on the hypersphere"
    script:
        "../scripts/pack_references.py"


rule invert_embeddings:
    input:
        targets="results/hyperface/{references}/targets.h5",
        packing_statistics="results/hyperface/{references}/stats.h5",
        faces=lambda w: paths.faces(config, w.references),
        weights=lambda w: paths.references_weights(config, w.references),
        generator=lambda w: paths.references_generator_files(config, w.references),
    output:
        samples="results/references/{references}/samples.h5",
        statistics="results/references/{references}/stats.h5",
        command="results/references/{references}/command.yml",
        table="results/hyperface/{references}/inversion.csv",
    log:
        "logs/invert_embeddings/{references}.log",
    benchmark:
        "logs/benchmarks/invert_embeddings/{references}.tsv"
    wildcard_constraints:
        references=paths.packed(config),
    priority: 1
    conda:
        "../../envs/torch-gpu.yaml"
    threads: processes
    resources:
        gpu=processes,
        nodes=1,
        mem_mb=lambda w, attempt: 8000 * processes(w) * attempt,
        runtime=growing(480),
    params:
        state=stages.placed("results/state/references/{references}", PREFIX),
        settings=settings("invert_embeddings"),
        code=code("invert_embeddings", "torch-gpu"),
    message:
        "Invert the packed embeddings of {wildcards.references}"
    script:
        "../scripts/invert_embeddings.py"


rule measure_packing:
    input:
        start=lambda w: paths.packing_start(config, w.references),
        targets="results/hyperface/{references}/targets.h5",
        statistics="results/hyperface/{references}/stats.h5",
        samples="results/references/{references}/samples.h5",
        images=lambda w: paths.image_shards(config, w.references),
        weights=lambda w: paths.references_weights(config, w.references),
    output:
        table=report(
            "results/tables/packing/{references}.csv",
            caption="../report/packing.rst",
            category="Packing",
            labels={"dataset": "{references}", "figure": "table"},
        ),
        figure=report(
            "results/figures/packing/{references}.png",
            caption="../report/packing.rst",
            category="Packing",
            labels={"dataset": "{references}", "figure": "nearest neighbours"},
        ),
        iterations=report(
            "results/figures/packing/{references}.iterations.png",
            caption="../report/packing.rst",
            category="Packing",
            labels={"dataset": "{references}", "figure": "iterations"},
        ),
    log:
        "logs/measure_packing/{references}.log",
    benchmark:
        "logs/benchmarks/measure_packing/{references}.tsv"
    conda:
        "../../envs/torch-gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        settings=settings("measure_packing"),
        code=code("measure_packing", "torch-gpu"),
    message:
        "Measure the nearest-neighbour angles of {wildcards.references} before and after rendering"
    script:
        "../scripts/measure_packing.py"

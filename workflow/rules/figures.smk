"""Figures: run statistics, distances, contact sheets of faces, the leak audit, the ground-truth controls."""


rule plot_dynamics:
    input:
        statistics=lambda w: paths.statistics(config, w.dataset),
    output:
        figure=report(
            "results/figures/dynamics/{dataset}.png",
            caption="../report/dynamics.rst",
            category="Dynamics",
            labels={"dataset": "{dataset}"},
        ),
    log:
        "logs/plot_dynamics/{dataset}.log",
    localrule: True
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=settings("plot_dynamics"),
        code=code("plot_dynamics", "plots"),
    message:
        "Plot the run statistics of {wildcards.dataset}"
    script:
        "../scripts/plot_dynamics.py"


rule plot_distances:
    input:
        references=lambda w: paths.samples(
            config, config["variations"][w.variations]["references"]
        ),
        variations="results/variations/{variations}/samples.h5",
        guarded=lambda w: paths.leak_guard(
            config, config["variations"][w.variations]["references"]
        ),
    output:
        figure=report(
            "results/figures/distances/{variations}.png",
            caption="../report/distances.rst",
            category="Distances",
            labels={"dataset": "{variations}", "figure": "histogram"},
        ),
        table=report(
            "results/tables/distances/{variations}.csv",
            caption="../report/distances.rst",
            category="Distances",
            labels={"dataset": "{variations}", "figure": "table"},
        ),
    log:
        "logs/plot_distances/{variations}.log",
    benchmark:
        "logs/benchmarks/plot_distances/{variations}.tsv"
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings("plot_distances"),
        code=code("plot_distances", "plots"),
    message:
        "Plot the genuine and impostor angles of {wildcards.variations}"
    script:
        "../scripts/plot_distances.py"


rule show_faces:
    input:
        images=lambda w: paths.shown_images(config, w.dataset),
        identities=lambda w: paths.identity_quality(config, w.dataset),
    output:
        figure=report(
            "results/figures/faces/{dataset}.png",
            caption="../report/faces.rst",
            category="Faces",
            labels={"dataset": "{dataset}"},
        ),
    log:
        "logs/show_faces/{dataset}.log",
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=settings("show_faces"),
        code=code("show_faces", "plots"),
    message:
        "Make a contact sheet of {wildcards.dataset}"
    script:
        "../scripts/show_faces.py"


rule build_gallery:
    input:
        images=lambda w: paths.shown_images(config, w.dataset),
        identities=lambda w: paths.identity_quality(config, w.dataset),
    output:
        data="results/gallery/{dataset}/data.js",
    log:
        "logs/build_gallery/{dataset}.log",
    benchmark:
        "logs/benchmarks/build_gallery/{dataset}.tsv"
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(120),
    params:
        settings=settings("build_gallery"),
        code=code("build_gallery", "plots"),
    message:
        "Make the thumbnails of {wildcards.dataset}"
    script:
        "../scripts/build_gallery.py"


rule write_report:
    input:
        reported.report_files(config),
        galleries=[paths.gallery(name) for name in products.gallery_datasets(config)],
        accuracies=reported.accuracies(config),
        quality=[products.QUALITY_TABLE] if config["quality"] else [],
    output:
        page=products.REPORT_PAGE,
        index=[page for page in products.pages(config) if page == products.GALLERY_PAGE],
    log:
        "logs/write_report.log",
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings("write_report"),
        captions=CAPTIONS,
        code=code("write_report", "plots"),
    message:
        "Write the report"
    script:
        "../scripts/write_report.py"


rule audit_leaks:
    input:
        references="results/references/{references}/samples.h5",
        guarded=lambda w: paths.leak_guard(config, w.references),
        reference_images=lambda w: paths.image_shards(config, w.references),
        guarded_images=lambda w: paths.image_shards(
            config, config["references"][w.references]["leak_guard"]
        ),
    output:
        table=report(
            "results/tables/leaks/{references}.csv",
            caption="../report/leaks.rst",
            category="Leak audit",
            labels={"dataset": "{references}", "figure": "closest pairs"},
        ),
        figure=report(
            "results/figures/leaks/{references}.png",
            caption="../report/leaks.rst",
            category="Leak audit",
            labels={"dataset": "{references}", "figure": "their images"},
        ),
    log:
        "logs/audit_leaks/{references}.log",
    conda:
        "../../envs/plots.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings("audit_leaks"),
        code=code("audit_leaks", "plots"),
    message:
        "Compare {wildcards.references} with the generator's training set (leak audit)"
    script:
        "../scripts/audit_leaks.py"


rule measure_controls:
    input:
        samples=[
            paths.samples(config, name)
            for name in products.controlled_datasets(config)
        ],
        covariates=[
            paths.covariates(config, name)
            for name in products.controlled_covariates(config)
        ],
        within_class=[
            paths.within_class(config, name)
            for name in products.controlled_projections(config)
        ],
        weights=[
            paths.weights(config, name)
            for name in products.controlled_networks(config)
        ],
    output:
        table=report(
            "results/tables/controls.csv",
            caption="../report/controls.rst",
            category="Ground truth",
        ),
    log:
        "logs/measure_controls.log",
    benchmark:
        "logs/benchmarks/measure_controls.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        settings=settings("measure_controls"),
        code=code("measure_controls", "torch"),
    message:
        "Compute the ground-truth controls"
    script:
        "../scripts/measure_controls.py"

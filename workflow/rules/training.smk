"""FR networks trained on the datasets, whose scores measure the value of a dataset."""


rule train_recognition:
    input:
        images=lambda w: [
            shard
            for dataset in config["training"][w.training]["datasets"]
            for shard in paths.image_shards(config, dataset)
        ],
    output:
        weights="results/training/{training}/seed_{seed}/weights.safetensors",
        checkpoint="results/training/{training}/seed_{seed}/checkpoint.ckpt",
        history="results/training/{training}/seed_{seed}/history.csv",
        command="results/training/{training}/seed_{seed}/command.yml",
        batch=report(
            "results/training/{training}/seed_{seed}/train_data.png",
            caption="../report/train_data.rst",
            category="Training",
            labels={"network": "{training}/seed_{seed}", "figure": "a training batch"},
        ),
    log:
        "logs/train_recognition/{training}/seed_{seed}.log",
    benchmark:
        "logs/benchmarks/train_recognition/{training}/seed_{seed}.tsv"
    conda:
        "../../envs/torch-gpu.yaml"
    threads: training_processes
    resources:
        gpu=training_processes,
        nodes=1,
        mem_mb=lambda w, attempt: 16000 * training_processes(w) * attempt,
        runtime=growing(480),
    params:
        state=stages.placed("results/state/training/{training}/seed_{seed}", PREFIX),
        settings=settings("train_recognition"),
        code=code("train_recognition", "torch-gpu"),
    message:
        "Train the FR network {wildcards.training} on its datasets, seed {wildcards.seed}"
    script:
        "../scripts/train_recognition.py"

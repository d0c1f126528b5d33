"""FR networks that steer the dynamics: trained on a database if no weights file is given."""


rule train_network:
    input:
        images=lambda w: paths.image_shards(
            config, config["networks"][w.network]["database"]
        ),
    output:
        weights="results/networks/{network}/weights.safetensors",
        checkpoint="results/networks/{network}/checkpoint.ckpt",
        history="results/networks/{network}/history.csv",
        command="results/networks/{network}/command.yml",
        batch=report(
            "results/networks/{network}/train_data.png",
            caption="../report/train_data.rst",
            category="Training",
            labels={"network": "{network}", "figure": "a training batch"},
        ),
    log:
        "logs/train_network/{network}.log",
    benchmark:
        "logs/benchmarks/train_network/{network}.tsv"
    priority: 1
    conda:
        "../../envs/torch-gpu.yaml"
    threads: network_processes
    resources:
        gpu=network_processes,
        nodes=1,
        mem_mb=lambda w, attempt: 16000 * network_processes(w) * attempt,
        runtime=growing(480),
    params:
        state=stages.placed("results/state/networks/{network}", PREFIX),
        settings=settings("train_network"),
        code=code("train_network", "torch-gpu", script="train_recognition"),
    message:
        "Train the steering FR network {wildcards.network}"
    script:
        "../scripts/train_recognition.py"

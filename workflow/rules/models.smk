"""Published files: fetched if the configuration allows it, on the machine that runs Snakemake, never on a node."""

if config["models"]["fetch"]:

    # No params: a file that is there and right is used, wherever it came from; another address or an edited script
    # must not make everything that follows from it run again. update() keeps a file that is there.
    rule fetch_model:
        output:
            model=update("{fetched}"),
        log:
            "logs/fetch_model/{fetched}.log",
        wildcard_constraints:
            fetched=paths.fetched_models(config),
        retries: 2
        localrule: True
        conda:
            "../../envs/torch.yaml"
        message:
            "Fetch {wildcards.fetched}"
        script:
            "../scripts/fetch_model.py"

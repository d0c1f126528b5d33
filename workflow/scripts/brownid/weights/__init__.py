"""Published files of networks, read as data without executing anything: formats, the catalogue, and fetching."""

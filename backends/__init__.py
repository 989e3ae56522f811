"""Where a job can run. Each backend drives the `train` and `serve` commands through files and HTTP alone."""

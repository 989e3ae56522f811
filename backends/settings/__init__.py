"""What can be set besides hyperparameters: one declared table, read from kennel.toml, the environment and flags."""

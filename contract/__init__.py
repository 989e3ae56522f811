"""What all parts must agree on: paths, configuration, hyperparameters, rules, errors. Standard library only."""

"""The search of hyperparameters: space, objectives and study, wherever its trials run. No torch."""

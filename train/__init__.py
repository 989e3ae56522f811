"""Image files -> artifact. `python -m train` implements SageMaker's training contract."""

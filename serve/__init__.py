"""Artifact -> predictions: an HTTP server by SageMaker's contract, and `serve.predict` without one."""

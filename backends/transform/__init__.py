"""Batch transform over HTTP, as SageMaker runs it: every image of a folder to a server, the answers in one file."""

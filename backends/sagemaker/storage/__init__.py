"""Data sets and artifacts in S3: only what changed is sent, several files at a time, going on where it was cut off."""

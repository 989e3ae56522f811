"""The profiler: what machine and training step do with their time, and rules that judge it."""

"""The profiler's rules: each judges a recording, as far as it goes."""

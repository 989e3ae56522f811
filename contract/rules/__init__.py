"""What the rules of the debugger and the profiler are called, which parameters they take, and what a verdict says."""

"""The process beside the training: it samples the machine, judges by rules, acts, and writes the reports."""

"""The commands of deploy.py that need more than a few lines. Imported for `--help` too: nothing heavy on top."""

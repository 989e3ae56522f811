"""`deploy.py tune`: the trials of a search as run folders, or as one job; what came out."""

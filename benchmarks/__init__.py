"""Measurements. Each prints hardware, versions, n and its command, and pairs what it compares in one run."""

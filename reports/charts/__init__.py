"""Charts as SVG, from numbers and labels alone."""

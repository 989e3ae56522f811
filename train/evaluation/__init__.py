"""How good a network is on labelled images: its predictions, the figures from them, and comparisons of two networks."""

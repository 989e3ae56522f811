"""Jobs: training, search, transform, evaluation; waiting for them, following them, and what they leave."""

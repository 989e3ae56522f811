"""Answers: from probabilities to a response's body and headers."""

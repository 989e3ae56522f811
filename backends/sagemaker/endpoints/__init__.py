"""Endpoints: made, updated, scaled, asked; what they captured, and the models that the registry has."""

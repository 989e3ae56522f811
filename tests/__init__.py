"""The tests mirror the source: tests/model for model, tests/train for train, and so on."""

"""The rules that judge saved tensors: one class each, by family."""

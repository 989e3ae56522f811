"""The debugger: tensors saved while a network trains, and rules that judge them while it still does."""

"""The model card: what a manifest and a learning history say, as Markdown."""

"""What builds and pins Kennel's own environment; standard library only, as it runs before all else."""


class SetupError(Exception):
    """Setting up cannot go on; the message is one sentence for the user."""

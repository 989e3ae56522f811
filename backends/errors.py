"""The errors that reach the person at the terminal."""


class BackendError(Exception):
    """What went wrong, in one sentence, with the next step where there is one."""


class Stopped(BackendError):
    """The person ended it (Ctrl-C or SIGTERM); whatever ran has ended."""


class Pruned(Stopped):
    """The search ended this trial early, for it did worse than others."""


class StillRunning(BackendError):
    """What was started goes on without us, in an account that it costs money in; says how to come back to it."""

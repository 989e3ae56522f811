"""The errors that reach the person at the terminal."""


class BackendError(Exception):
    """An error as one sentence, with the next step where there is one."""


class Stopped(BackendError):
    """The person ended it (Ctrl-C or SIGTERM); whatever ran has ended."""


class Pruned(Stopped):
    """The search ended this trial early, for it did worse than others."""


class StillRunning(BackendError):
    """The job goes on in an account, where it costs money; the message says how to follow it again."""

"""`python -m monitor FD`, started by monitor.client: watches one training, without torch.

FD: the pipe to the training process. Its words come on stdin; when that closes, it has ended.
"""

import os
import signal
import sys


def main() -> None:
    """Judge until the training ends, then write the reports."""
    parent = os.getppid()
    # It ends when the training process does, and by nothing else: its last work are the reports.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe = int(sys.argv[1])
    # Its own children, which rules' commands are, have no business with it.
    os.set_inheritable(pipe, False)
    from contract.command import print_whole_lines
    from monitor.inbox import Inbox
    from monitor.profiling import Profiling

    print_whole_lines()
    inbox = Inbox(sys.stdin.fileno(), parent)
    job = inbox.first()
    if job is None:
        return
    profiling = Profiling(job)
    # Two seconds of smdebug and what it imports, in which the machine is sampled already.
    from monitor.watch import Monitor

    Monitor(job, inbox, pipe, profiling).run()


if __name__ == "__main__":
    main()

"""`python -m train`: one training job below KENNEL_ML_ROOT.

Exit codes: 0 completed; 2 the user's fault; 1 Kennel's own; 143 stopped by SIGTERM; 130 by Ctrl-C. Unless it is 0,
the first line of output/failure is the cause: `ClientError: ...` for the user's fault, `AlgorithmError: ...` for
Kennel's, `Stopped: ...`.
"""

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from contract.command import machine_fault, print_whole_lines
from contract.errors import UserError
from contract.files import read_object, write_atomic
from contract.paths import MLPaths
from monitor.client import MonitorProcess
from train.job_config import read_job

# As in model.artifact and reports.model_card, whose imports take too long before the signal handlers are installed.
_MANIFEST, _CARD = "kennel.json", "model_card.md"
_IMPORTER = "<frozen importlib._bootstrap>"
_AGAIN_S = 0.05
_GOES_ON = "the same job with its checkpoints goes on from there"
EXIT_OURS, EXIT_USER, EXIT_SIGINT, EXIT_SIGTERM = 1, 2, 130, 143


class Terminated(BaseException):
    """SIGTERM came: SageMaker stops the job, or takes back a spot instance. SIGKILL follows 120 s later."""


def main() -> int:
    """Run the job and return the exit code."""
    paths = MLPaths.from_environ()
    print_whole_lines()
    monitor = MonitorProcess()
    code, cause = _run(paths, monitor)
    monitor.end(code == 0, cause, cut_short=code in (EXIT_SIGTERM, EXIT_SIGINT))
    return code


def _run(paths: MLPaths, monitor: MonitorProcess) -> tuple[int, str | None]:
    """The exit code, and the failure's first line unless it is 0."""
    try:
        install_signal_handlers()
        # An earlier run's files must not be taken for this one's, however early this one ends.
        events = paths.tensorboard.glob("events.out.tfevents.*")
        artifact = (paths.model / _MANIFEST, paths.model / _CARD)
        profile = paths.profiler.glob("*.json*")
        reports = (paths.evaluation, paths.evaluation_page, paths.progress, *events, *profile)
        watched = (paths.debugger_report, paths.debugger_page, paths.profiler_report, paths.profiler_page)
        searched = (paths.tuning_report, paths.tuning_page, paths.best_hyperparameters)
        for stale in (paths.failure, *artifact, *reports, *watched, *searched):
            stale.unlink(missing_ok=True)
        job = read_job(paths)
        if job.is_rank0 and not job.hyperparameters.tune_trials:
            # After a search it watches the training that follows.
            monitor.start(paths, job)
        # Only now: its imports take seconds, in which signals and a faulty configuration would go unnoticed.
        with _ending_at_once(paths, monitor):
            from train.job import run_job

        run_job(paths, job, monitor)
        # Later signals are too late to stop anything.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Terminated:
        request = monitor.listen()
        if request is not None and monitor.sent_signal:
            return _fail(paths, EXIT_USER, f"ClientError: {request.reason}")
        return _stopped(paths, signal.SIGTERM)
    except KeyboardInterrupt:
        return _stopped(paths, signal.SIGINT)
    except Exception as error:  # noqa: BLE001 - the verdict is for whatever happened
        return _error(paths, error)
    return 0, None


@contextmanager
def _ending_at_once(paths: MLPaths, monitor: MonitorProcess) -> Iterator[None]:
    """For imports: the signal handler itself writes the failure and ends the process.

    An exception would be raised within the import, where numpy turns it into an ImportError and Python's own callbacks
    lose it.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        code, cause = _stopped(paths, number)
        monitor.end(completed=False, reason=cause, cut_short=True)
        sys.stdout.flush()
        os._exit(code)

    before = {number: signal.signal(number, end) for number in _signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopped(paths: MLPaths, number: int) -> tuple[int, str]:
    """The exit code and the failure's first line after SIGTERM or SIGINT."""
    if number == signal.SIGTERM:
        return _fail(paths, EXIT_SIGTERM, "Stopped: SIGTERM came before training had ended" + _what_is_saved(paths))
    return _fail(paths, EXIT_SIGINT, "Stopped: interrupted by Ctrl-C before training had ended" + _what_is_saved(paths))


def _error(paths: MLPaths, error: Exception) -> tuple[int, str]:
    sentence = str(error) if isinstance(error, UserError) else machine_fault(error)
    if sentence:
        return _fail(paths, EXIT_USER, f"ClientError: {sentence}")
    first = next(iter(str(error).splitlines()), "")
    cause = f"AlgorithmError: {type(error).__name__}: {first}"
    return _fail(paths, EXIT_OURS, cause, "".join(traceback.format_exception(error)))


def install_signal_handlers() -> None:
    """Let SIGTERM raise Terminated and SIGINT KeyboardInterrupt, and raise them again where Python loses them."""
    for number in _signals():
        signal.signal(number, _stop)
    sys.unraisablehook = _raise_again


def _raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """For exceptions in Python's own callbacks, which nobody can catch: raise a signal's exception once more."""
    if isinstance(unraisable.exc_value, Terminated | KeyboardInterrupt):
        number = signal.SIGTERM if isinstance(unraisable.exc_value, Terminated) else signal.SIGINT
        _stop_later(number)
    else:
        sys.__unraisablehook__(unraisable)


def _signals() -> list[signal.Signals]:
    """Those that end the job; the process that started it may have set Ctrl-C to be ignored."""
    return [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) is not signal.SIG_IGN]


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise the exception that ends the job; during an import a moment later: see `_ending_at_once`."""
    if _in_import(frame):
        _stop_later(number)
        return
    # A second SIGTERM must not cut short the clean-up of the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated


def _stop_later(number: int) -> None:
    signal.signal(signal.SIGALRM, lambda _alarm, frame: _stop(number, frame))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)


def _in_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTER:
            return True
        frame = frame.f_back
    return False


def _what_is_saved(paths: MLPaths) -> str:
    kept = (paths.model / _MANIFEST).exists()
    if search := read_object(paths.tuning_report):
        best = f"; the best network so far is in {paths.model}" if kept else "; there is no model yet"
        finished = sum(search["counts"].values())
        return f", {finished} of {search['trials_wanted']} trials were finished{best}; {_GOES_ON}"
    if not kept:
        return "; no epoch was finished, so there is no model"
    goes_on = f"; {_GOES_ON}" if paths.training_checkpoint.exists() else ""
    return f"; the best epoch so far is in {paths.model}{goes_on}"


def _fail(paths: MLPaths, code: int, cause: str, detail: str = "") -> tuple[int, str]:
    # No signal may come between the cause and its file; a second line of the cause would not be read.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    text = f"{' '.join(cause.splitlines())}\n{detail}".rstrip() + "\n"
    print(text, end="", file=sys.stderr, flush=True)
    try:
        write_atomic(paths.failure, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        print(f"the failure file {paths.failure} can't be written ({error.strerror})", file=sys.stderr)
    return code, cause


if __name__ == "__main__":
    sys.exit(main())

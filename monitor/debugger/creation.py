"""The hook as configured: by SageMaker's debughookconfig.json, or with Kennel's own choice."""

import shutil
from pathlib import Path
from typing import Any, Final

import torch

from contract.debugger import HookLocation, Schedule, read_config, tensors_folder
from contract.environment import environment
from monitor.debugger._smdebug import END_OF_JOB_FILENAME
from monitor.debugger._smdebug_torch import create_hook_from_json_config
from monitor.debugger.collections import complete, configure, own_options
from monitor.debugger.hook import Hook

# What a run leaves in its folder. The end file shows readers that nothing more comes; the claim would make the hook of
# a run that goes on there believe that another process writes.
_END: Final = (END_OF_JOB_FILENAME, "claim.smd")
_TENSORS: Final = ("events", "index", "collections")


def create(place: HookLocation, schedule: Schedule, steps: int = 0, epochs: int = 0, only: bool = False) -> Hook:
    """The hook, on a folder without an earlier run's tensors, unless this training goes on from a checkpoint.

    steps, epochs: of the training that are done. only: none of the other processes that train with this one has a hook.
    Raises ValueError for a configuration that is no JSON object, smdebug's own errors for what it can't use in one,
    and OSError.
    """
    config = read_config(place.config)
    folder = tensors_folder(place.config, place.folder)
    beside = {
        # It would note its own steps beside the checkpoints, a step late and in a file that may be uploaded half; the
        # training knows them.
        "CHECKPOINT_CONFIG_FILE_PATH": "",
        "TENSORBOARD_CONFIG_FILE_PATH": str(place.config.with_name("tensorboardoutputconfig.json")),
    }
    with environment(beside):
        make_room(folder, resumed=epochs > 0, only=only)

        def make(**options: Any) -> Hook:
            return Hook(**{**options, "out_dir": str(folder), "trainable_only": config is None, "only": only})

        if config is None:
            hook = make(**own_options())
            configure(hook.collection_manager, schedule)
        else:
            hook = create_hook_from_json_config(make, str(place.config))
            complete(hook.collection_manager)
    if epochs:
        hook.go_on(steps, epochs * schedule.eval_batches)
    return hook


def make_room(folder: Path, resumed: bool, only: bool) -> None:
    """Remove what an earlier run left; its tensors stay for a run that goes on."""
    distributed = not only and torch.distributed.is_available() and torch.distributed.is_initialized()
    try:
        if not distributed or torch.distributed.get_rank() == 0:
            for name in _END if resumed else (*_END, *_TENSORS):
                path = folder / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
    finally:
        if distributed:
            torch.distributed.barrier()

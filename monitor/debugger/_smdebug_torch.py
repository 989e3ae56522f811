"""The door to smdebug's PyTorch hook, whose faults are mended in one subclass. See also `_smdebug`."""

import atexit
import os
from typing import Any

import torch
from torch import Tensor

from contract.environment import environment
from model._stand_in import boto3_on_demand
from monitor.debugger._smdebug import ReductionConfig, imported_quietly

# Its profiler would start with the hook wherever there is a profilerconfig.json, parts of which it passes to eval();
# with torch 2 it fails, and Kennel has its own.
with imported_quietly(), boto3_on_demand(), environment({"SMPROFILER_CONFIG_PATH": os.devnull}):
    import smdebug.core.utils as _utils
    from smdebug.core import json_config as _json_config
    from smdebug.core.access_layer.utils import training_has_ended
    from smdebug.core.collection import SCALAR_COLLECTIONS
    from smdebug.core.reductions import get_reduction_tensor_name
    from smdebug.core.utils import match_inc, remove_claim_file
    from smdebug.pytorch import hook as _hook
    from smdebug.pytorch.singleton_utils import del_hook

create_hook_from_json_config = _json_config.create_hook_from_json_config

__all__ = ["SCALAR_COLLECTIONS", "MendedHook", "create_hook_from_json_config", "get_reduction_tensor_name", "match_inc"]


class _Reductions(ReductionConfig):  # type: ignore[misc]
    @classmethod
    def from_dict(cls, params: dict[str, Any]) -> Any:
        """With SageMaker's strings for what has to be Boolean, which smdebug refuses."""
        words = {"true": True, "false": False}
        given = {name: words.get(str(params[name]).lower(), params[name]) for name in _FLAGS & params.keys()}
        return ReductionConfig.from_dict({**params, **given})


_FLAGS = {"save_raw_tensor", "save_shape"}
_json_config.ReductionConfig = _Reductions
# It reads the profiler's configuration anew in every step.
_hook.profiler_config_parser.load_config = lambda: None
# None where `_smdebug` was imported before torch.
_utils._torch_dist_imported = torch.distributed


class MendedHook(_hook.Hook):  # type: ignore[misc]
    """smdebug's hook without its traps. Its errors are raised, always: whoever calls it has to catch them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Its error agent swallows some errors and raises others, by configuration, and once it has swallowed one, every
        # hook of this process is dead.
        _utils.error_handling_agent.disable_smdebug = False
        _utils.error_handling_agent.set_hook(self)
        # When it fails before these are set, its error agent fails over their absence, and hides the cause.
        self.prepared_collections = False
        self._collections_to_save: set[Any] = set()
        self.exported_collections: bool = False
        self.writer: Any = None
        super().__init__(*arguments, **options)
        # "weight" and "bias" match names of Kennel's own tensors as well.
        for name, word in (("weights", "weight"), ("biases", "bias")):
            self.collection_manager.get(name).include_regex[:] = [f"^(?!gradient|update_ratio).*{word}"]
        # At the process's end it would write to a folder that may be gone; Kennel closes it.
        atexit.unregister(self._cleanup)
        atexit.unregister(del_hook)

    def has_default_configuration(self) -> bool:
        """False: its error agent then raises, whatever the configuration."""
        return False

    @staticmethod
    def _make_numpy_array(tensor_value: Any) -> Any:
        # numpy has no bfloat16.
        if isinstance(tensor_value, Tensor) and tensor_value.dtype == torch.bfloat16:
            tensor_value = tensor_value.float()
        return _hook.Hook._make_numpy_array(tensor_value)

    def abandon(self) -> None:
        """Write nothing more, but inform readers of it where that can be."""
        self.writer = None
        self.tb_writers: dict[Any, Any] = {}
        self.dry_run = True
        del_hook()
        self.timeline_writer.close()
        if self.save_all_workers or self.worker == self.chief_worker:
            training_has_ended(self.out_dir)
        if self.first_process:
            remove_claim_file(self.out_dir)

"""A search within one training job, and the training of its best trial."""

import sys
import threading
import time
import traceback
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import torch

from model.errors import ConfigError, UserError
from model.files import write_atomic, write_json
from model.paths import MLPaths
from train.backbones import Backbones
from train.companion.process import CompanionProcess
from train.config import Hyperparameters
from train.contract import Job
from train.data.dataset import DataSet
from train.finish import save_stopped
from train.loop import Best
from train.metrics import MetricLog
from train.progress import Progress
from train.search.searcher import Metrics, Trial
from train.search.settings import SearchSettings
from train.search.space import Categorical, Integer, Space
from train.search.study import Search
from train.shared import Shared, on_features
from train.training import train
from train.tuning.checkpoint import BEST, JOURNAL, BestTrial, check_data, note_data
from train.tuning.trial import TEST, Measured, run_trials

_WATCHED_EVERY_S: Final = 0.5

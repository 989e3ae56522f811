"""What all tests share: no test may use the network, a GPU's presence or the user's own caches."""

from collections.abc import Iterator
from pathlib import Path

import pytest

# Port 9 (discard) on the loopback: closed on any sane machine, so a download fails at once.
CLOSED_PROXY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True, scope="session")
def closed_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Kennel's variables unset, torch's cache empty, downloads refused: here and in all processes started."""
    cache = tmp_path_factory.mktemp("torch-cache")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KENNEL_ML_ROOT", "KENNEL_PRETRAINED_DIR", "TRAINING_JOB_NAME", "CUDA_VISIBLE_DEVICES"):
            patch.delenv(name, raising=False)
        for name in ("https_proxy", "HTTPS_PROXY"):
            patch.setenv(name, CLOSED_PROXY)
        patch.setenv("TORCH_HOME", str(cache))
        yield cache

"""What all tests share: no test may use the network, a GPU's presence or the user's own caches."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.settings.names import TABLE

# Port 9 (discard) on the loopback: closed on any sane machine, so a download fails at once.
CLOSED_PROXY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True, scope="session")
def closed_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No variables or settings of Kennel's, torch's cache empty, downloads refused: here and in all children."""
    cache = tmp_path_factory.mktemp("torch-cache")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KENNEL_ML_ROOT", "KENNEL_PRETRAINED_DIR", "TRAINING_JOB_NAME", "CUDA_VISIBLE_DEVICES"):
            patch.delenv(name, raising=False)
        # The person's own settings. KENNEL_IMAGE stays: the tests of the image are about that one.
        for setting in TABLE:
            if setting.variable != "KENNEL_IMAGE":
                patch.delenv(setting.variable, raising=False)
        nothing = tmp_path_factory.mktemp("settings") / "kennel.toml"
        nothing.touch()
        patch.setenv("KENNEL_CONFIG", str(nothing))
        for name in ("https_proxy", "HTTPS_PROXY"):
            patch.setenv(name, CLOSED_PROXY)
        patch.setenv("TORCH_HOME", str(cache))
        yield cache

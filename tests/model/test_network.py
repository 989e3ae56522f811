"""Shapes and parameter counts worked out by hand, and that uint8 is normalised inside the network."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from model.network import MLP_UNITS, Classifier, Normalise, build, build_backbone, build_head

ROOT = Path(__file__).parents[2]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def parameters(module: nn.Module, trained_only: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained_only)


def basic_block(inputs: int, outputs: int, shortcut: bool) -> int:
    """Two 3 x 3 convolutions, each with a BatchNorm's scale and shift; maybe a 1 x 1 shortcut."""
    main = 9 * inputs * outputs + 9 * outputs * outputs + 4 * outputs
    return main + (inputs * outputs + 2 * outputs if shortcut else 0)


def bottleneck(inputs: int, width: int, shortcut: bool) -> int:
    """1 x 1, 3 x 3, 1 x 1 to four times the width, each with a BatchNorm; perhaps a 1 x 1 shortcut."""
    outputs = 4 * width
    main = inputs * width + 9 * width * width + width * outputs + 2 * (width + width + outputs)
    return main + (inputs * outputs + 2 * outputs if shortcut else 0)


STEM = 3 * 64 * 49 + 2 * 64


def basic(depths: tuple[int, ...]) -> int:
    total, inputs = STEM, 64
    for stage, depth in enumerate(depths):
        outputs = 64 * 2**stage
        total += basic_block(inputs, outputs, shortcut=stage > 0) + (depth - 1) * basic_block(outputs, outputs, False)
        inputs = outputs
    return total


def deep(depths: tuple[int, ...]) -> int:
    total, inputs = STEM, 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        total += bottleneck(inputs, width, True) + (depth - 1) * bottleneck(4 * width, width, False)
        inputs = 4 * width
    return total


@pytest.mark.parametrize(
    ("architecture", "features", "count"),
    [
        ("resnet18", 512, basic((2, 2, 2, 2))),
        ("resnet34", 512, basic((3, 4, 6, 3))),
        ("resnet50", 2048, deep((3, 4, 6, 3))),
    ],
)
def test_backbones(architecture: str, features: int, count: int) -> None:
    backbone, given = build_backbone(architecture)
    assert given == features
    assert parameters(backbone) == count
    if architecture == "resnet18":
        assert count == 11_176_512
    assert backbone.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, features)


@pytest.mark.parametrize(
    ("head", "count"),
    [
        ("linear", 512 * 133 + 133),
        ("mlp", (512 * 512 + 512) + (512 * 133 + 133)),
    ],
)
def test_heads_of_133_classes(head: str, count: int) -> None:
    network = build("resnet18", head, 133, MEAN, STD)
    assert parameters(network) == 11_176_512 + count
    network.freeze_backbone()
    assert parameters(network, trained_only=True) == count
    if head == "mlp":
        assert count == 330_885  # what the SageMaker tutorial's head has
        hidden = network.head[0]  # type: ignore[index]
        assert isinstance(hidden, nn.Linear)
        assert hidden.out_features == MLP_UNITS == 512


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="architecture must be one of resnet18, resnet34, resnet50, got 'vgg16'"):
        build("vgg16", "linear", 2, MEAN, STD)
    with pytest.raises(ValueError, match="head must be one of linear, mlp, got 'deep'"):
        build_head("deep", 512, 2)


def test_normalisation_is_pixel_over_255_less_mean_over_std() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 3, 1).expand(1, 1, 3, 3)
    given = Normalise((0.5, 0.2, 0.0), (0.5, 0.1, 1.0))(images)
    assert given.shape == (1, 3, 1, 3)
    # 51 / 255 = 0.2.
    expected = [[-1.0, -0.6, 1.0], [-2.0, 0.0, 8.0], [0.0, 0.2, 1.0]]
    assert torch.allclose(given[0, :, 0], torch.tensor(expected), atol=1e-6)


def test_each_colour_channel_goes_where_it_belongs() -> None:
    image = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    image[0, 0, 1, 2] = 255  # row 0, column 1, blue
    given = Normalise((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))(image)
    assert given.nonzero().tolist() == [[0, 2, 0, 1]]


def test_a_batch_answers_like_its_images_alone() -> None:
    torch.manual_seed(0)
    network = build("resnet18", "mlp", 4, MEAN, STD).eval()
    images = torch.randint(0, 256, (3, 48, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    assert together.shape == (3, 4)
    assert torch.allclose(together, alone, atol=1e-4)


def batchnorms(network: Classifier) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_a_frozen_backbone_keeps_its_statistics_in_training_mode() -> None:
    network = build("resnet18", "linear", 2, MEAN, STD)
    free = build("resnet18", "linear", 2, MEAN, STD)
    network.freeze_backbone()
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    for each in (network, free):
        each.train()
        each(images).sum().backward()
    assert len(batchnorms(network)) == 20
    assert all(norm.num_batches_tracked == 0 and not norm.training for norm in batchnorms(network))
    assert all(norm.num_batches_tracked == 1 for norm in batchnorms(free))
    assert network.head.training
    assert all(p.grad is None for p in network.backbone.parameters())
    assert all(p.grad is not None for p in network.head.parameters())


def test_importing_the_networks_leaves_torchs_compiler_alone_until_it_is_called() -> None:
    code = (
        "import sys, model.network\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "from torchvision.ops import roi_align as _\n"
        "stand_in = sys.modules['torchvision.ops.roi_align'].is_compile_supported\n"
        "supported = stand_in('cpu')\n"
        "import torch._dynamo.utils as real\n"
        "assert supported == real.is_compile_supported('cpu'), supported\n"
        "print(real.__file__)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip().endswith("torch/_dynamo/utils.py")

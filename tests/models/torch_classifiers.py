"""VGG16 and residual networks in PyTorch, with torchvision's names; the reference for ours."""

import torch
from torch import nn

VGG_WIDTHS = (1, 1, "M", 2, 2, "M", 4, 4, 4, "M", 8, 8, 8, "M", 8, 8, 8, "M")


class VGG(nn.Module):
    def __init__(self, width, classes, has_norm):
        super().__init__()
        layers, channels = [], 3
        for factor in VGG_WIDTHS:
            if factor == "M":
                layers.append(nn.MaxPool2d(2))
                continue
            layers.append(nn.Conv2d(channels, width * factor, 3, padding=1))
            layers += [nn.BatchNorm2d(width * factor)] * has_norm + [nn.ReLU()]
            channels = width * factor
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        hidden = 64 * width
        self.classifier = nn.Sequential(
            nn.Linear(49 * channels, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class Block(nn.Module):
    def __init__(self, channels, width, stride, expansion):
        super().__init__()
        out = width * expansion
        shapes = [(channels, width, 3, stride), (width, out, 3, 1)]
        if expansion > 1:
            shapes = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        self.depth = len(shapes)
        for index, (before, after, size, step) in enumerate(shapes, 1):
            setattr(self, f"conv{index}", nn.Conv2d(before, after, size, step, size // 2, bias=False))
            setattr(self, f"bn{index}", nn.BatchNorm2d(after))
        self.downsample = None
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        given = x if self.downsample is None else self.downsample(x)
        for index in range(1, self.depth + 1):
            x = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x))
            x = torch.relu(x) if index < self.depth else x
        return torch.relu(x + given)


class ResNet(nn.Module):
    def __init__(self, blocks, width, classes, expansion):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        channels = width
        for stage, count in enumerate(blocks):
            layers = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                layers.append(Block(channels, width * 2**stage, stride, expansion))
                channels = width * 2**stage * expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def build(name, width, classes):
    """The network of a name, in inference, every number drawn at random and statistics away from 0 and 1."""
    torch.manual_seed(0)
    if name.startswith("vgg16"):
        network = VGG(width, classes, name == "vgg16_bn")
    else:
        blocks, expansion = {
            "resnet18": ((2, 2, 2, 2), 1),
            "resnet34": ((3, 4, 6, 3), 1),
            "resnet50": ((3, 4, 6, 3), 4),
        }[name]
        network = ResNet(blocks, width, classes, expansion)
    for key, value in network.state_dict().items():
        if value.ndim == 1:
            is_positive = "var" in key or "weight" in key
            value.copy_(torch.rand_like(value) + 0.5 if is_positive else torch.randn_like(value) / 5)
        elif value.ndim > 1:
            value.copy_(torch.randn_like(value) * (2 / value[0].numel()) ** 0.5)
    return network.eval()

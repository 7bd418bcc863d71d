"""The U-Net of segmentation_models_pytorch (SMP) in PyTorch, of any width and with its names; the reference for ours.

`experiments.benchmarks.encoders` compares with the package itself. What this gives for numbers that need no PyTorch is
kept in `encoder_logits.csv`, so that ours is compared with it where PyTorch is missing. To write it anew:

    python -m tests.models.torch_encoder_unet
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tests.models.encoder_numbers import CLASSES, ENCODERS, LOGITS, PICTURE, WIDTH, arrays_of, kept_pixels, text_of
from tests.models.torch_classifiers import build


def twice(channels, width, has_norm):
    """Two convolutions with normalisation and ReLU, of which the first has the names 0.0 and 0.1."""
    layers = []
    for before in (channels, width):
        conv = nn.Conv2d(before, width, 3, padding=1, bias=not has_norm)
        layers.append(nn.Sequential(conv, nn.BatchNorm2d(width) if has_norm else nn.Identity(), nn.ReLU()))
    return layers


class Block(nn.Module):
    def __init__(self, channels, width, has_norm):
        super().__init__()
        self.conv1, self.conv2 = twice(channels, width, has_norm)

    def forward(self, x):
        return self.conv2(self.conv1(x))


class Decoder(nn.Module):
    def __init__(self, channels, skips, width, has_center, has_norm):
        super().__init__()
        if has_center:
            self.center = nn.Sequential(*twice(channels, channels, has_norm))
        blocks = []
        for place, skip in enumerate((*skips, 0)):
            blocks.append(Block(channels + skip, 4 * width // 2**place, has_norm))
            channels = 4 * width // 2**place
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x, skips, size):
        x = self.center(x) if hasattr(self, "center") else x
        for block, skip in zip(self.blocks, (*skips, None), strict=True):
            x = F.interpolate(x, size if skip is None else skip.shape[2:], mode="nearest")
            x = block(x if skip is None else torch.cat([x, skip], 1))
        return x


class UNet(nn.Module):
    def __init__(self, encoder, width, classes, has_norm=True):
        super().__init__()
        self.encoder = build(encoder, width, 2)
        with torch.no_grad():
            *skips, last = (found.shape[1] for found in self.maps(torch.zeros(1, 3, 32, 32)))
        self.decoder = Decoder(last, skips[::-1], width, encoder.startswith("vgg"), has_norm)
        self.segmentation_head = nn.Sequential(nn.Conv2d(width // 4, classes, 3, padding=1))
        for head in ("fc", "classifier"):
            if hasattr(self.encoder, head):
                delattr(self.encoder, head)

    def maps(self, x):
        """The encoder's maps from 1/2 of the size on."""
        own, found = self.encoder, []
        if hasattr(own, "features"):
            for layer in own.features:
                if isinstance(layer, nn.MaxPool2d):
                    found.append(x)
                x = layer(x)
            return [*found[1:], x]
        x = torch.relu(own.bn1(own.conv1(x)))
        found.append(x)
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(own, f"layer{stage}")(x)
            found.append(x)
        return found

    def forward(self, x):
        *skips, last = self.maps(x)
        return self.segmentation_head(self.decoder(last, skips[::-1], x.shape[2:]))


def reference(encoder, arrays, classes=CLASSES, has_norm=True):
    """The module with these numbers, of which it must have every one and no other."""
    network = UNet(encoder, WIDTH, classes, has_norm).eval()
    own = {name: torch.tensor(np.ascontiguousarray(value)) for name, value in arrays.items()}
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict(own | counters)
    return network


def logits_of(network, picture):
    with torch.no_grad():
        return network(torch.tensor(picture.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)


if __name__ == "__main__":
    found = {name: kept_pixels(logits_of(reference(name, arrays_of(name)), PICTURE)) for name in ENCODERS}
    LOGITS.write_text(text_of(found))

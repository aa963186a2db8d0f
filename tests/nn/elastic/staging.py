"""What tests of divided modules share."""

import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    """A stem, a block with a shortcut, a block called twice, an average and a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.conv1 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1, groups=4)
        self.short = nn.Conv2d(16, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.again = nn.Conv2d(32, 32, (1, 5), padding=(0, 2))
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = self.stem(x)
        x = self.short(x) + self.conv2(F.relu(self.bn1(self.conv1(x))))
        x = self.again(F.relu(self.again(self.depthwise(x))))
        return self.fc(x.mean((2, 3)))

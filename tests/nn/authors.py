"""The authors' networks in plain torch, with their names of modules: what published weights must compute.

Written from the paper's description alone, apart from the graphs. Every block is one module that holds both halves; the
low half's layers end in ``_d``.
"""

import torch
import torch.nn.functional as F
from torch import nn

from elastic_search.arch.families.densenet import DenseNet
from elastic_search.arch.families.dla import DLA


def conv(before, after, kernel=1, stride=1, groups=1, bias=False):
    return nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=bias)


def conv_bn(before, after, kernel=1, stride=1):
    return nn.Sequential(conv(before, after, kernel, stride), nn.BatchNorm2d(after))


def at_half_resolution(layers, x):
    height, width = x.shape[-2:]
    x = F.avg_pool2d(F.pad(x, (0, width % 2, 0, height % 2), mode="replicate"), 2)
    x = F.interpolate(layers(x), scale_factor=2, mode="bilinear", align_corners=False)
    return x[..., :height, :width]


class Bottleneck(nn.Module):
    """Grouped bottleneck of ResNeXt and DLA; the residual is added after the last normalisation."""

    def __init__(self, before, inner, after, groups, stride, halves, elastic):
        super().__init__()
        self.halves, self.elastic = halves, elastic
        parts = 2 if halves else 1
        for end in ("", "_d") if halves else ("",):
            self.add_module(f"conv1{end}", conv(before, inner // parts))
            self.add_module(f"bn1{end}", nn.BatchNorm2d(inner // parts))
            self.add_module(f"conv2{end}", conv(inner // parts, inner // parts, 3, stride, groups // parts))
            self.add_module(f"bn2{end}", nn.BatchNorm2d(inner // parts))
            self.add_module(f"conv3{end}", conv(inner // parts, after))
        self.bn3 = nn.BatchNorm2d(after)

    def half(self, x, end=""):
        layers = self._modules
        for i in (1, 2):
            x = F.relu(layers[f"bn{i}{end}"](layers[f"conv{i}{end}"](x)))
        return layers[f"conv3{end}"](x)

    def low(self, x):
        return self.half(x, "_d")

    def summed(self, x):
        y = self.half(x)
        if self.halves:
            y = y + (at_half_resolution(self.low, x) if self.elastic else self.low(x))
        return self.bn3(y)

    def forward(self, x, residual):
        return F.relu(self.summed(x) + residual)


class SELayer(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()
        self.conv1 = conv(channels, channels // reduction, bias=True)
        self.conv2 = conv(channels // reduction, channels, bias=True)

    def forward(self, x):
        return x * torch.sigmoid(self.conv2(F.relu(self.conv1(x.mean((2, 3), keepdim=True)))))


class ResNeXtBlock(Bottleneck):
    def __init__(self, before, inner, after, groups, stride, elastic, project, reduction):
        super().__init__(before, inner, after, groups, stride, groups > 1, elastic)
        self.downsample = conv_bn(before, after, stride=stride) if project else None
        self.selayer = SELayer(after, reduction) if reduction else None

    def forward(self, x):
        y = self.summed(x)
        if self.selayer is not None:
            y = self.selayer(y)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class AuthorsResNeXt(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.conv1, self.bn1 = conv(3, spec.stem_width, 7, 2), nn.BatchNorm2d(spec.stem_width)
        channels, last = spec.stem_width, len(spec.stages) - 1
        self.stages = len(spec.stages)
        for i, stage in enumerate(spec.stages):
            blocks = []
            for j in range(len(stage.splits)):
                stride = 2 if i and not j else 1
                elastic = spec.elastic_blocks > 0 and stride == 1 and i < last
                after = stage.width * spec.expansion
                block = (channels, stage.width, after, spec.cardinality, stride, elastic, j == 0, spec.se_reduction)
                blocks.append(ResNeXtBlock(*block))
                channels = after
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, spec.head.classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(self.stages):
            x = self._modules[f"layer{i + 1}"](x)
        return self.fc(x.mean((2, 3)))


class Root(nn.Module):
    def __init__(self, before, after, residual):
        super().__init__()
        self.conv, self.bn, self.residual = conv(before, after), nn.BatchNorm2d(after), residual

    def forward(self, *xs):
        y = self.bn(self.conv(torch.cat(xs, 1)))
        return F.relu(y + xs[0] if self.residual else y)


class Tree(nn.Module):
    """Two subtrees (or blocks), the second of which ends in a root; ``joined`` counts the children's channels."""

    def __init__(self, depth, before, after, stride, level_root, joined, spec, largest):
        super().__init__()
        self.depth, self.stride, self.level_root = depth, stride, level_root
        joined += before if level_root else 0
        if depth == 1:
            inner, halves = after // 32 * spec.cardinality, spec.elastic_blocks > 0
            self.tree1 = Bottleneck(before, inner, after, spec.cardinality, stride, halves, False)
            self.tree2 = Bottleneck(after, inner, after, spec.cardinality, 1, halves, halves and after < largest)
            if stride == 1:
                self.tree1.elastic = self.tree2.elastic
            self.root = Root(2 * after + joined, after, spec.residual_root)
        else:
            self.tree1 = Tree(depth - 1, before, after, stride, False, 0, spec, largest)
            self.tree2 = Tree(depth - 1, after, after, 1, False, joined + after, spec, largest)
        self.project = conv_bn(before, after) if before != after else None

    def forward(self, x, children=()):
        bottom = F.max_pool2d(x, 2, 2, ceil_mode=True) if self.stride > 1 else x
        residual = bottom if self.project is None else self.project(bottom)
        children = (*children, bottom) if self.level_root else children
        if self.depth > 1:
            first = self.tree1(x)
            return self.tree2(first, (*children, first))
        first = self.tree1(x, residual)
        return self.root(self.tree2(first, first), first, *children)


def pooled(x, window):
    """The mean of a map, or of the window that the authors' pool of stride 7 sees."""
    return x.mean((2, 3), keepdim=True) if window is None else F.avg_pool2d(x, window)


class AuthorsDLA(nn.Module):
    window = None

    def __init__(self, spec):
        super().__init__()
        width = spec.stem_width
        self.base_layer, self.level0 = conv_bn(3, width, 7), conv_bn(width, width, 3)
        self.level1, channels = conv_bn(width, 2 * width, 3, 2), 2 * width
        self.levels = range(2, 2 + len(spec.stages))
        for i, stage in enumerate(spec.stages):
            tree = Tree(spec.depth(i), channels, stage.width, 2, i > 0, 0, spec, spec.stages[-1].width)
            self.add_module(f"level{i + 2}", tree)
            channels = stage.width
        self.fc = conv(channels, spec.head.classes, bias=True)

    def forward(self, x):
        for layers in (self.base_layer, self.level0, self.level1):
            x = F.relu(layers(x))
        for i in self.levels:
            x = self._modules[f"level{i}"](x)
        return self.fc(pooled(x, self.window)).flatten(1)


class DenseLayer(nn.Module):
    def __init__(self, before, width, growth, halves, elastic):
        super().__init__()
        self.halves, self.elastic = halves, elastic
        inner = width // 2 if halves else width
        self.norm1 = nn.BatchNorm2d(before)
        for end in ("", "_d") if halves else ("",):
            self.add_module(f"conv1{end}", conv(before, inner))
            self.add_module(f"norm2{end}", nn.BatchNorm2d(inner))
            self.add_module(f"conv2{end}", conv(inner, growth, 3))

    def half(self, x, end=""):
        layers = self._modules
        return layers[f"conv2{end}"](F.relu(layers[f"norm2{end}"](layers[f"conv1{end}"](x))))

    def low(self, x):
        return self.half(x, "_d")

    def forward(self, x):
        shared = F.relu(self.norm1(x))
        y = self.half(shared)
        if self.halves:
            y = y + (at_half_resolution(self.low, shared) if self.elastic else self.low(shared))
        return torch.cat((x, y), 1)


class Transition(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), conv(channels, channels // 2)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class AuthorsDenseNet(nn.Module):
    window = None

    def __init__(self, spec):
        super().__init__()
        channels, last, halves = spec.stem_width, len(spec.stages) - 1, spec.elastic_blocks > 0
        self.features = nn.Sequential()
        self.features.add_module("conv0", conv(3, channels, 7, 2))
        self.features.add_module("norm0", nn.BatchNorm2d(channels))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        for i, stage in enumerate(spec.stages):
            block = nn.Sequential()
            for j in range(len(stage.splits)):
                layer = DenseLayer(channels, stage.width, spec.growth, halves, i < last)
                block.add_module(f"denselayer{j + 1}", layer)
                channels += spec.growth
            self.features.add_module(f"denseblock{i + 1}", block)
            if i < last:
                self.features.add_module(f"transition{i + 1}", Transition(channels))
                channels //= 2
        self.features.add_module("norm_final", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, spec.head.classes)

    def forward(self, x):
        return self.classifier(pooled(F.relu(self.features(x)), self.window).flatten(1))


def authors_network(spec, seed=0):
    """The authors' spelling of a spec, with random weights that keep activations at the same size."""
    kind = {DenseNet: AuthorsDenseNet, DLA: AuthorsDLA}.get(type(spec), AuthorsResNeXt)
    with torch.device("meta"):
        net = kind(spec)
    net = net.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("num_batches_tracked"):
                tensor.fill_(7)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.ndim > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith("weight"):
                tensor.uniform_(0.3, 0.9, generator=generator)
            else:
                tensor.normal_(0, 0.2, generator=generator)
    return net.eval()


def released_form(net):
    """A network's state dict as the authors saved it: without the counters of batches."""
    return {key: tensor for key, tensor in net.state_dict().items() if not key.endswith("num_batches_tracked")}

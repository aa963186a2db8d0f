"""Layers in every spelling: activations, norms, pools, resizes, convolutions."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import relu

from tests.nn.trace.cases import case


def _activations():
    classes = {
        "relu": nn.ReLU, "relu6": nn.ReLU6, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU, "celu": nn.CELU,
        "gelu": nn.GELU, "silu": nn.SiLU, "mish": nn.Mish, "hardswish": nn.Hardswish, "hardsigmoid": nn.Hardsigmoid,
        "hardtanh": nn.Hardtanh, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "softplus": nn.Softplus,
        "softsign": nn.Softsign, "logsigmoid": nn.LogSigmoid, "hardshrink": nn.Hardshrink, "softshrink": nn.Softshrink,
        "tanhshrink": nn.Tanhshrink,
    }  # fmt: skip
    for name, kind in classes.items():
        case(name, "module", "2-D", lambda kind=kind: (kind(),))
        # Tools replace functions where their modules hold them, so they are looked up at the call.
        case(name, "function", "2-D", lambda n=name: (lambda m, x: getattr(F, n)(x),))
        if name in ("relu", "elu", "silu", "hardtanh", "leaky_relu", "relu6", "selu", "hardswish", "mish"):
            case(name, "module in place", "2-D", lambda kind=kind: (kind(inplace=True),))
    for name in ("relu", "sigmoid", "tanh"):
        case(name, "of torch", "2-D", lambda n=name: (lambda m, x: getattr(torch, n)(x),))
        case(name, "method", "2-D", lambda name=name: (lambda m, x: getattr(x, name)(),))
        case(name, "method in place", "2-D", lambda name=name: (lambda m, x: getattr(x, f"{name}_")(),))
    case("relu", "function in place", "2-D", lambda: (lambda m, x: F.relu(x, inplace=True),))
    case("prelu", "module", "2-D", lambda: (nn.PReLU(12),))
    case("prelu", "function", "2-D", lambda: (lambda m, x: F.prelu(x, m.w0), (12,)))
    # One tool counts a function only where it is looked up when it is called.
    for name, function in {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "relu6": F.relu6, "elu": F.elu}.items():
        case(name, "held by the module", "2-D", lambda f=function: (lambda m, x: f(x),))
    case("softmax", "held by the module", "2-D", lambda f=F.softmax: (lambda m, x: f(x, 1),))
    case("prelu", "of torch", "2-D", lambda: (lambda m, x: torch.prelu(x, m.w0), (12,)))
    case("relu", "imported by name", "2-D", lambda: (lambda m, x: relu(x),))
    for to in ("1-D", "3-D", "of 4", "tokens"):
        case("relu", "module", to, lambda: (nn.ReLU(),))
        case("gelu", "function", to, lambda: (lambda m, x: F.gelu(x),))
        case("silu", "module", to, lambda: (nn.SiLU(),))
    for dim in (1, 2, 3):
        case(f"softmax over {dim}", "module", "2-D", lambda dim=dim: (nn.Softmax(dim),))
        case(f"softmax over {dim}", "function", "2-D", lambda dim=dim: (lambda m, x: F.softmax(x, dim),))
        case(f"softmax over {dim}", "of torch", "2-D", lambda dim=dim: (lambda m, x: torch.softmax(x, dim),))
        case(f"softmax over {dim}", "method", "2-D", lambda dim=dim: (lambda m, x: x.softmax(dim),))
    case("softmax over -1", "module", "of 4", lambda: (nn.Softmax(-1),))
    case("log_softmax", "module", "2-D", lambda: (nn.LogSoftmax(1),))


def _norms():
    for to, rank, channels in (("1-D", 1, 12), ("2-D", 2, 12), ("3-D", 3, 6), ("of 4", 2, 12)):
        batch, instance = getattr(nn, f"BatchNorm{rank}d"), getattr(nn, f"InstanceNorm{rank}d")
        case("batch norm", "module", to, lambda c=channels, kind=batch: (kind(c),))
        case("batch norm without weights", "module", to, lambda c=channels, kind=batch: (kind(c, affine=False),))
        case("batch norm of the batch", "module", to, lambda c=channels, k=batch: (k(c, track_running_stats=False),))
        case("instance norm", "module", to, lambda c=channels, kind=instance: (kind(c, affine=True),))
        case("instance norm without weights", "module", to, lambda c=channels, kind=instance: (kind(c),))
        case("group norm", "module", to, lambda c=channels: (nn.GroupNorm(3, c),))
        case("group norm", "function", to,
             lambda c=channels: (lambda m, x: F.group_norm(x, 3, m.w0, m.w1), (c,), (c,)))  # fmt: skip
        case("batch norm", "function", to,
             lambda c=channels: (lambda m, x: F.batch_norm(x, None, None, m.w0, m.w1, True), (c,), (c,)))  # fmt: skip
        case("instance norm", "function", to, lambda: (lambda m, x: F.instance_norm(x),))
    case("instance norm with statistics", "module", "2-D", lambda: (nn.InstanceNorm2d(12, track_running_stats=True),))
    case("layer norm of maps", "module", "2-D", lambda: (nn.LayerNorm([8, 12]),))
    case("group norm without weights", "module", "2-D", lambda: (nn.GroupNorm(3, 12, affine=False),))
    case("synchronised batch norm", "module", "2-D", lambda: (nn.SyncBatchNorm(12),))
    case("group norm", "of torch", "2-D", lambda: (lambda m, x: torch.group_norm(x, 3),))
    for to, width in (("tokens", 12), ("channels last", 12), ("2-D", 12)):
        case("layer norm", "module", to, lambda w=width: (nn.LayerNorm(w),))
        case("layer norm without weights", "module", to, lambda w=width: (nn.LayerNorm(w, elementwise_affine=False),))
        case("layer norm", "function", to, lambda w=width: (lambda m, x: F.layer_norm(x, (w,), m.w0, m.w1), (w,), (w,)))
        case("rms norm", "module", to, lambda w=width: (nn.RMSNorm(w),))
        case("normalise", "function", to, lambda: (lambda m, x: F.normalize(x, dim=1),))
    case("local response norm", "module", "2-D", lambda: (nn.LocalResponseNorm(3),))
    weights = lambda m, x: F.conv2d(x, F.batch_norm(m.w0.flatten(1)[None], None, None, training=True).view(m.w0.shape))  # noqa: E731
    case("batch norm of weights", "function", "2-D", lambda: (weights, (4, 12, 3, 3)))


def _pools():
    for to, rank in (("1-D", 1), ("2-D", 2), ("3-D", 3), ("of 4", 2)):
        for kind in ("Max", "Avg"):
            case(f"{kind.lower()} pool", "module", to, lambda r=rank, k=kind: (getattr(nn, f"{k}Pool{r}d")(2),))
            case(f"{kind.lower()} pool", "function", to,
                 lambda r=rank, k=kind: (lambda m, x: getattr(F, f"{k.lower()}_pool{r}d")(x, 2),))  # fmt: skip
            case(f"adaptive {kind.lower()} pool", "module", to,
                 lambda r=rank, k=kind: (getattr(nn, f"Adaptive{k}Pool{r}d")(1),))  # fmt: skip
            case(f"adaptive {kind.lower()} pool", "function", to,
                 lambda r=rank, k=kind: (lambda m, x: getattr(F, f"adaptive_{k.lower()}_pool{r}d")(x, 1),))  # fmt: skip
        case("max pool with indices", "function", to,
             lambda r=rank: (lambda m, x: getattr(F, f"max_pool{r}d")(x, 2, return_indices=True)[0],))  # fmt: skip
        case("max pool with indices", "function of that name", to,
             lambda r=rank: (lambda m, x: getattr(F, f"max_pool{r}d_with_indices")(x, 2)[0],))  # fmt: skip
        case("max pool", "of torch", to, lambda r=rank: (lambda m, x: getattr(torch, f"max_pool{r}d")(x, 2),))
        held = getattr(F, f"avg_pool{rank}d")
        case("average pool", "held by the module", to, lambda f=held: (lambda m, x: f(x, 2),))
    case("average pool", "of torch", "1-D", lambda: (lambda m, x: torch.avg_pool1d(x, 2),))
    case("max pool with indices", "module", "2-D", lambda: (nn.Sequential(nn.MaxPool2d(2, return_indices=True)),))
    case("adaptive max pool to 2", "module", "2-D", lambda: (nn.AdaptiveMaxPool2d(2),))
    case("max pool, the rest too", "module", "2-D", lambda: (nn.MaxPool2d(3, 2, ceil_mode=True),))
    case("max pool, dilated", "module", "2-D", lambda: (nn.MaxPool2d((3, 2), 2, (1, 0), dilation=2),))
    case("pool after pool", "function", "2-D",
         lambda: (lambda m, x: F.adaptive_max_pool2d(F.max_pool2d(F.avg_pool2d(x, 2), 2, stride=1), 2),))  # fmt: skip
    case("lp pool", "module", "2-D", lambda: (nn.LPPool2d(2, 2),))
    case("mean over the map", "method", "2-D", lambda: (lambda m, x: x.mean((2, 3)),))
    case("mean over the map", "of torch", "2-D", lambda: (lambda m, x: torch.mean(x, (2, 3), keepdim=True),))
    case("fractional", "module", "2-D", lambda: (nn.AdaptiveAvgPool2d((3, 5)),))


def _resizes():
    for mode in ("nearest", "bilinear", "bicubic", "nearest-exact"):
        for to in ("2-D", "of 4"):
            case(f"{mode} by 2", "module", to, lambda mode=mode: (nn.Upsample(scale_factor=2, mode=mode),))
            case(f"{mode} by 2", "function", to,
                 lambda mode=mode: (lambda m, x: F.interpolate(x, scale_factor=2, mode=mode),))  # fmt: skip
        case(f"{mode} to a size", "module", "2-D", lambda mode=mode: (nn.Upsample((9, 13), mode=mode),))
        case(f"{mode} to a size", "function", "2-D",
             lambda mode=mode: (lambda m, x: F.interpolate(x, (9, 13), mode=mode),))  # fmt: skip
        case(f"{mode} by 2", "old function", "2-D",
             lambda mode=mode: (lambda m, x: F.upsample(x, scale_factor=2, mode=mode),))  # fmt: skip
        case(f"{mode} by 2", "held by the module", "2-D",
             lambda mode=mode, f=F.interpolate: (lambda m, x: f(x, scale_factor=2, mode=mode),))  # fmt: skip
    for to in ("1-D", "2-D", "3-D", "of 4"):
        case("by the area", "function", to, lambda: (lambda m, x: F.interpolate(x, scale_factor=0.5, mode="area"),))
    for factor in (1.5, (1.5, 2.5)):
        case(f"bilinear by {factor}", "module", "2-D",
             lambda f=factor: (nn.Upsample(scale_factor=f, mode="bilinear"),))  # fmt: skip
    case("linear by 2", "module", "1-D", lambda: (nn.Upsample(scale_factor=2, mode="linear"),))
    case("trilinear by 2", "module", "3-D", lambda: (nn.Upsample(scale_factor=2, mode="trilinear"),))
    case("bilinear, antialiased", "function", "2-D",
         lambda: (lambda m, x: F.interpolate(x, (4, 6), mode="bilinear", antialias=True),))  # fmt: skip
    case("bilinear by 2", "class of its own", "2-D", lambda: (nn.UpsamplingBilinear2d(scale_factor=2),))
    case("nearest by 2", "class of its own", "2-D", lambda: (nn.UpsamplingNearest2d(scale_factor=2),))
    case("pixel shuffle", "module", "2-D", lambda: (nn.PixelShuffle(2),))
    case(
        "grid sample",
        "function",
        "2-D",
        lambda: (lambda m, x: F.grid_sample(x, m.w0, align_corners=False), (1, 5, 5, 2)),
    )


class OfOne(nn.Module):
    """Calls a layer on the image itself, without a batch."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x[0])[None]


def _convolutions():
    for to, rank, channels in (("1-D", 1, 12), ("2-D", 2, 12), ("3-D", 3, 6), ("of 4", 2, 12)):
        for kind, name in ((f"Conv{rank}d", "convolution"), (f"ConvTranspose{rank}d", "transposed convolution")):
            for bias in (True, False):
                case(f"{name}{' with bias' * bias}", "module", to,
                     lambda k=kind, c=channels, b=bias: (getattr(nn, k)(c, 18, 2, 2, groups=3, bias=b),))  # fmt: skip
        shapes = {"conv": (18, channels // 3), "conv_transpose": (channels, 6)}
        for name, front in shapes.items():
            case(name.replace("_", " "), "function", to,
                 lambda n=f"{name}{rank}d", s=(*front, *(2,) * rank):
                 (lambda m, x: getattr(F, n)(x, m.w0, stride=2, groups=3), s))  # fmt: skip
    for transposed in (False, True):
        shape = (12, 6, 3, 3) if transposed else (6, 12, 3, 3)
        case(f"{'transposed ' * transposed}convolution", "of torch", "2-D",
             lambda t=transposed, s=shape:
             (lambda m, x: torch.convolution(x, m.w0, None, [1, 1], [0, 0], [1, 1], t, [0, 0], 1), s))  # fmt: skip
    settings = {
        "grouped": ({"groups": 6, "padding": 1}, 96 * 18 * 2 * 9),
        "dilated": ({"dilation": 2, "padding": 2}, 96 * 18 * 108),
        "strided": ({"stride": (2, 3)}, 3 * 4 * 18 * 108), "valid": ({"padding": "valid"}, 6 * 10 * 18 * 108),
        "unpadded": ({"bias": False}, 6 * 10 * 18 * 108),
    }  # fmt: skip
    for told, (options, macs) in settings.items():
        case(f"convolution, {told}", "module", "2-D", lambda o=options: (nn.Conv2d(12, 18, 3, **o),), macs=macs)
    case("convolution, depthwise", "module", "2-D",
         lambda: (nn.Conv2d(12, 12, 3, padding=1, groups=12),), macs=96 * 12 * 9)  # fmt: skip
    case("convolution, rectangles", "module", "2-D", lambda: (nn.Conv2d(12, 18, (3, 5), (2, 1), (1, 2)),))
    case("transposed convolution, output padding", "module", "2-D",
         lambda: (nn.ConvTranspose2d(12, 12, 3, (2, 3), 1, output_padding=(1, 2), dilation=2),))  # fmt: skip
    case("convolution, padding same", "module", "2-D", lambda: (nn.Conv2d(12, 4, 3, padding="same"),))
    case("convolution, circular", "module", "2-D", lambda: (nn.Conv2d(12, 4, 3, padding=1, padding_mode="circular"),))
    case("transposed convolution to a size", "module", "2-D",
         lambda: (type("To", (nn.Module,), {
             "__init__": lambda m: (nn.Module.__init__(m), setattr(m, "up", nn.ConvTranspose2d(12, 4, 3, 2, 1)))[0],
             "forward": lambda m, x: m.up(x, output_size=[16, 23]),
         })(),))  # fmt: skip

    for kind in ("Conv", "ConvTranspose"):
        for bias in (True, False):
            told = f"{kind.lower()}{' with bias' * bias} of one image"
            case(told, "module", "2-D", lambda k=kind, b=bias: (OfOne(getattr(nn, f"{k}2d")(12, 6, 3, bias=b)),))
            case(told, "module", "1-D", lambda k=kind, b=bias: (OfOne(getattr(nn, f"{k}1d")(12, 6, 3, bias=b)),))
    case("convolution of one image", "function", "2-D",
         lambda: (lambda m, x: F.conv2d(x[0], m.w0)[None], (6, 12, 3, 3)))  # fmt: skip


for collect in (_activations, _norms, _pools, _resizes, _convolutions):
    collect()

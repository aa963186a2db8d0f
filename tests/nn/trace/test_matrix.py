"""Operations in every spelling, counted as every real tool counts the module: one matrix of (operation, spelling).

A spelling is a module, a function of torch.nn.functional, a function of torch, a method of tensors, an operator, or one
of these in place. "of 4" is a batch of four that the module makes from its one image.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from elastic_search.arch.network import opaque_nodes
from elastic_search.cost.tally import tally
from elastic_search.nn.tools import TOOLS, fvcore_counts
from elastic_search.nn.trace.tracing import read

IMAGE = (12, 8, 12)
NAMES = ("fvcore", "torch", "ptflops", "ptflops-aten", "thop", "torchinfo")
TO = {
    "1-D": lambda x: x.flatten(2),
    "2-D": lambda x: x,
    "3-D": lambda x: x.unflatten(1, (6, 2)),
    "of 4": lambda x: x.unflatten(3, (4, 3)).permute(0, 3, 1, 2, 4).flatten(0, 1),
    "tokens": lambda x: x.flatten(2).transpose(1, 2),
    "channels last": lambda x: x.permute(0, 2, 3, 1),
    "vector": lambda x: x.mean((2, 3)),
    "sequence": lambda x: x.flatten(2).permute(2, 0, 1),
}
"""Ways to bring the image into the shape that an operation takes."""


class Case(nn.Module):
    """Brings the image into a shape, and calls ``f(self, x)``; ``f`` may be a module. Parameters are w0, w1, …"""

    def __init__(self, to, f, *shapes):
        super().__init__()
        self.to_shape, self.stem = TO[to], nn.Conv2d(12, 12, 1)
        self.f = f if isinstance(f, nn.Module) else None
        self.call = f
        for i, shape in enumerate(shapes):
            setattr(self, f"w{i}", nn.Parameter(torch.zeros(shape)))

    def forward(self, x):
        x = self.to_shape(self.stem(x))
        return self.f(x) if self.f is not None else self.call(self, x)


CASES = {}


def case(operation, spelling, to, make):
    name = f"{operation}, {spelling}" + ("" if to == "2-D" else f", {to}")
    assert name not in CASES
    CASES[name] = to, make


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
    case("max pool with indices", "module", "2-D", lambda: (nn.Sequential(nn.MaxPool2d(2, return_indices=True)),))
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
    case("convolution, padding same", "module", "2-D", lambda: (nn.Conv2d(12, 4, 3, padding="same"),))
    case("convolution, circular", "module", "2-D", lambda: (nn.Conv2d(12, 4, 3, padding=1, padding_mode="circular"),))
    case("transposed convolution to a size", "module", "2-D",
         lambda: (type("To", (nn.Module,), {
             "__init__": lambda m: (nn.Module.__init__(m), setattr(m, "up", nn.ConvTranspose2d(12, 4, 3, 2, 1)))[0],
             "forward": lambda m, x: m.up(x, output_size=[16, 23]),
         })(),))  # fmt: skip


def _products():
    for to in ("vector", "tokens", "channels last", "2-D", "of 4"):
        width = {"of 4": 3}.get(to, 12)
        for bias in (True, False):
            case(f"linear{' with bias' * bias}", "module", to, lambda w=width, b=bias: (nn.Linear(w, 5, bias=b),))
        case("linear", "function", to, lambda w=width: (lambda m, x: F.linear(x, m.w0, m.w1), (5, w), (5,)))
        case("matmul with a parameter", "operator", to, lambda w=width: (lambda m, x: x @ m.w0, (w, 5)))
        case("matmul with a parameter", "of torch", to, lambda w=width: (lambda m, x: torch.matmul(x, m.w0), (w, 5)))
        case("matmul with a parameter", "method", to, lambda w=width: (lambda m, x: x.matmul(m.w0), (w, 5)))
    pairs = {
        "operator": lambda m, x: x @ x.mT, "of torch": lambda m, x: torch.matmul(x, x.mT),
        "method": lambda m, x: x.matmul(x.mT), "bmm of torch": lambda m, x: torch.bmm(x, x.mT),
        "bmm method": lambda m, x: x.bmm(x.mT), "einsum": lambda m, x: torch.einsum("bij,bkj->bik", x, x),
        "baddbmm of torch": lambda m, x: torch.baddbmm(x @ x.mT, x, x.mT),
        "baddbmm method": lambda m, x: (x @ x.mT).baddbmm(x, x.mT),
    }  # fmt: skip
    for spelling, f in pairs.items():
        case("product of tokens", spelling, "tokens", lambda f=f: (f,))
    case("mm", "of torch", "vector", lambda: (lambda m, x: torch.mm(x, m.w0), (12, 5)))
    case("mm", "method", "vector", lambda: (lambda m, x: x.mm(m.w0), (12, 5)))
    case("addmm", "of torch", "vector", lambda: (lambda m, x: torch.addmm(m.w1, x, m.w0), (12, 5), (5,)))
    case("addmm", "method", "vector", lambda: (lambda m, x: m.w1.addmm(x, m.w0), (12, 5), (1, 5)))
    case("tensordot", "of torch", "2-D", lambda: (lambda m, x: torch.tensordot(x, m.w0, ([1], [0])), (12, 5)))
    case("mv", "of torch", "vector", lambda: (lambda m, x: torch.mv(m.w0, x[0]), (5, 12)))
    for equation, shape in (("nchw,oc->nohw", (5, 12)), ("nchw,cd->ndhw", (12, 5)), ("nchw,hk->nckw", (8, 5))):
        case(f"einsum {equation}", "of torch", "2-D",
             lambda e=equation, s=shape: (lambda m, x: torch.einsum(e, x, m.w0), s))  # fmt: skip
    case("einsum of three", "of torch", "tokens",
         lambda: (lambda m, x: torch.einsum("bij,jk,kl->bil", x, m.w0, m.w1), (12, 5), (5, 7)))  # fmt: skip
    arithmetic = {
        "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": lambda x, y: x / y,
    }  # fmt: skip
    for name, operator in arithmetic.items():
        for to in ("2-D", "of 4"):
            case(name, "operator", to, lambda f=operator: (lambda m, x: f(x, x),))
            case(name, "of torch", to, lambda n=name: (lambda m, x: getattr(torch, n)(x, x),))
            case(name, "method", to, lambda n=name: (lambda m, x: getattr(x, n)(x),))
            case(name, "method in place", to, lambda n=name: (lambda m, x: getattr(x.clone(), f"{n}_")(x),))
        case(f"{name} a number", "of torch", "2-D", lambda n=name: (lambda m, x: getattr(torch, n)(x, 2),))
    case("addcmul", "of torch", "2-D", lambda: (lambda m, x: torch.addcmul(x, x, x),))
    case("look-up", "module", "tokens", lambda: (nn.Sequential(Numbers(), nn.Embedding(7, 4)),))


class Numbers(nn.Module):
    """Whole numbers below 7, as a look-up takes them."""

    def forward(self, x):
        return x.detach().long() % 7


def _attention():
    for weights in (True, False):
        for options in (
            {"batch_first": True}, {}, {"batch_first": True, "bias": False}, {"batch_first": True, "add_bias_kv": True},
            {"batch_first": True, "add_zero_attn": True}, {"batch_first": True, "kdim": 5, "vdim": 6},
        ):  # fmt: skip
            told = " ".join(sorted(options)) or "plain"
            case(f"multi-head attention {told}{' with weights' * weights}", "module", "tokens",
                 lambda o=options, w=weights: (Attention(w, **o),))  # fmt: skip
    heads = lambda x: x.unflatten(2, (3, 4)).transpose(1, 2)  # noqa: E731
    sdpa = F.scaled_dot_product_attention
    case("attention", "function", "tokens", lambda: (lambda m, x: sdpa(heads(x), heads(x), heads(x)),))
    case("attention, causal", "function", "tokens",
         lambda: (lambda m, x: sdpa(heads(x), heads(x), heads(x), is_causal=True),))  # fmt: skip
    case("attention with a bias", "function", "tokens",
         lambda: (lambda m, x: sdpa(heads(x), heads(x), heads(x), m.w0), (96, 96)))  # fmt: skip
    case("attention over few keys", "function", "tokens",
         lambda: (lambda m, x: sdpa(heads(x), heads(x)[:, :, :7], heads(x)[:, :, :7]),))  # fmt: skip
    case("encoder layer", "module", "tokens", lambda: (nn.TransformerEncoderLayer(12, 3, 20, batch_first=True),))


class Attention(nn.Module):
    def __init__(self, weights, **options):
        super().__init__()
        self.weights, self.options = weights, options
        self.attention = nn.MultiheadAttention(12, 3, **options)

    def forward(self, x):
        k = x[..., :5] if "kdim" in self.options else x
        v = x[..., :6] if "vdim" in self.options else x
        return self.attention(x, k, v, need_weights=self.weights)[0]


def _recurrent():
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        name = kind.__name__
        for told, options in (
            ("", {}), (" of 2 layers", {"num_layers": 2}), (" in both directions", {"bidirectional": True}),
            (" of 2 layers in both directions", {"num_layers": 2, "bidirectional": True}),
            (" without bias", {"bias": False}),
        ):  # fmt: skip
            case(f"{name}{told}", "module", "tokens", lambda k=kind, o=options: (k(12, 6, batch_first=True, **o),))
        case(name, "module", "sequence", lambda k=kind: (k(12, 6),))
        case(f"{name} cell", "module", "vector", lambda k=name: (getattr(nn, f"{k}Cell")(12, 6),))
    case("LSTM with projections", "module", "tokens", lambda: (nn.LSTM(12, 6, batch_first=True, proj_size=4),))


for collect in (_activations, _norms, _pools, _resizes, _convolutions, _products, _attention, _recurrent):
    collect()


def test_the_matrix_has_its_spellings():
    assert len(CASES) >= 220


def counted(module, name):
    try:
        return sum(TOOLS[name][1](module, torch.zeros(1, *IMAGE)).values())
    except Exception as error:  # the tool itself fails
        return error


UNSEEN = {
    "encoder layer, module, tokens": "its module holds F.relu since before the tool replaced that, which no call shows",
}
"""What cannot be told from the calls: ours is what the tool counts where it does replace the function."""


def _marks(i, name):
    slow = [pytest.mark.slow] if i % 4 else []
    return [*slow, pytest.mark.xfail(strict=True, reason=UNSEEN[name])] if name in UNSEEN else slow


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(i, name)) for i, name in enumerate(CASES)])
def test_every_spelling_is_counted_as_every_tool_counts_it(name):
    to, make = CASES[name]
    module = Case(to, *make()).eval()
    reading = read(module, IMAGE)
    assert not reading.notes
    assert not opaque_nodes(reading.graph)
    assert reading.graph.params == sum(p.numel() for p in module.parameters())
    ours = {tool: tally(reading.graph, IMAGE, tool).total for tool in NAMES}
    theirs = {tool: counted(module, tool) for tool in NAMES}
    assert ours == {tool: ours[tool] if isinstance(count, Exception) else count for tool, count in theirs.items()}
    if not isinstance(theirs["fvcore"], Exception):
        _, activations = fvcore_counts(module, torch.zeros(1, *IMAGE))
        assert tally(reading.graph, IMAGE, "fvcore").activations == activations
    if not any(kind in name for kind in ("RNN", "GRU", "LSTM", "mv,")):
        with sdpa_kernel([SDPBackend.MATH]):
            assert tally(reading.graph, IMAGE, "macs").total == counted(module, "torch") // 2


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_multiply_adds_of_a_recurrent_layer(kind, gates):
    module = Case("tokens", kind(12, 6, num_layers=2, bidirectional=True, batch_first=True))
    own = 12 * 12 * 96  # of the stem
    layers = 2 * (12 + 6) + 2 * (12 + 6)
    assert tally(read(module, IMAGE).graph, IMAGE, "macs").total == own + 96 * gates * 6 * layers

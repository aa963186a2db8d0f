"""Products in every spelling: linear layers, products of matrices, attention, recurrent layers, arithmetic."""

import operator as operators

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from tests.nn.trace.cases import case


def _products():
    for to in ("vector", "tokens", "channels last", "2-D", "of 4"):
        width = {"of 4": 3}.get(to, 12)
        for bias in (True, False):
            case(f"linear{' with bias' * bias}", "module", to, lambda w=width, b=bias: (nn.Linear(w, 5, bias=b),))
        case("linear", "function", to, lambda w=width: (lambda m, x: F.linear(x, m.w0, m.w1), (5, w), (5,)))
        case("linear with one weight", "function", to,
             lambda w=width: (lambda m, x: F.linear(x, m.w0), (w,)), macs=12 if to == "vector" else 1152)  # fmt: skip
        case("matmul with a parameter", "operator", to, lambda w=width: (lambda m, x: x @ m.w0, (w, 5)))
        case("matmul with a parameter", "of torch", to, lambda w=width: (lambda m, x: torch.matmul(x, m.w0), (w, 5)))
        case("matmul with a parameter", "reflected", to, lambda w=width: (lambda m, x: m.w0.__rmatmul__(x), (w, 5)))
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
        case(f"{name} a number", "method", "2-D", lambda n=name: (lambda m, x: getattr(x, n)(2),))
        case(f"{name} a number", "of torch", "2-D", lambda n=name: (lambda m, x: getattr(torch, n)(x, 2),))
    held = {"mul": torch.mul, "add": torch.add, "matmul": torch.matmul}
    for name, f in held.items():
        case(name, "held by the module", "channels last", lambda f=f: (lambda m, x: f(x, m.w0), (12, 12)))
        case(name, "of the module operator", "channels last",
             lambda n=name: (lambda m, x: getattr(operators, n)(x, m.w0), (12, 12)))  # fmt: skip
        case(name, "method of the operator", "channels last",
             lambda n=name: (lambda m, x: getattr(x, f"__{n}__")(m.w0), (12, 12)))  # fmt: skip
        into = lambda m, x, n=name: getattr(torch, n)(x.detach(), m.w0.detach(), out=x.detach())  # noqa: E731
        case(name, "into a tensor", "channels last", lambda f=into: (f, (12, 12)))
    case("sum", "of Python", "2-D", lambda: (lambda m, x: sum([x, x, x]),))
    case("addcmul", "of torch", "2-D", lambda: (lambda m, x: torch.addcmul(x, x, x),))
    case("look-up", "module", "tokens", lambda: (nn.Sequential(Numbers(), nn.Embedding(7, 4)),))


def _vectors():
    """Products of vectors and others that FlopCounterMode does not know, so that their multiply-adds stand here."""
    one, many = (12,), (5, 12)
    calls = {
        "mv": (60, lambda m, x: torch.mv(m.w0, x[0]), lambda m, x: m.w0.mv(x[0]), many),
        "addmv": (60, lambda m, x: torch.addmv(m.w1, m.w0, x[0]), lambda m, x: m.w1.addmv(m.w0, x[0]), many, (5,)),
        "matmul of a vector": (60, lambda m, x: torch.matmul(m.w0, x[0]), lambda m, x: m.w0 @ x[0], many),
        "dot": (12, lambda m, x: torch.dot(x[0], m.w0)[None], lambda m, x: x[0].dot(m.w0)[None], one),
        "vdot": (12, lambda m, x: torch.vdot(x[0], m.w0)[None], lambda m, x: x[0].vdot(m.w0)[None], one),
        "inner of vectors": (12, lambda m, x: torch.inner(x[0], m.w0)[None], lambda m, x: x[0].inner(m.w0)[None], one),
        "addr": (60, lambda m, x: torch.addr(m.w1, m.w0, x[0]), lambda m, x: m.w1.addr(m.w0, x[0]), (5,), many),
        "outer": (0, lambda m, x: torch.outer(x[0], m.w0), lambda m, x: x[0].outer(m.w0), one),
        "ger": (0, lambda m, x: torch.ger(x[0], m.w0), lambda m, x: x[0].ger(m.w0), one),
        "kron": (0, lambda m, x: torch.kron(x, m.w0), lambda m, x: x.kron(m.w0), (3, 5)),
    }  # fmt: skip
    for name, (macs, function, method, *shapes) in calls.items():
        case(name, "of torch", "vector", lambda f=function, s=shapes: (f, *s), macs=macs)
        case(name, "method", "vector", lambda f=method, s=shapes: (f, *s), macs=macs)
    chain = 12 * 5 * 7 + 96 * 12 * 7  # the last two first, which is cheaper
    time = lambda x: x.transpose(0, 1)  # noqa: E731
    calls = {
        "inner": (96 * 12 * 5, lambda m, x: torch.inner(x, m.w0), many),
        "inner method": (96 * 12 * 5, lambda m, x: x.inner(m.w0), many),
        "addbmm": (96 * 12 * 96, lambda m, x: torch.addbmm(m.w0, x, x.mT), (96, 96)),
        "addbmm method": (96 * 12 * 96, lambda m, x: m.w0.addbmm(x, x.mT), (96, 96)),
        "bilinear": (96 * 5 * (7 * 12 + 7), lambda m, x: F.bilinear(x, x[..., :7], m.w0, m.w1), (5, 12, 7), (5,)),
        "cdist": (96 * 30 * 12, lambda m, x: torch.cdist(x, m.w0), (1, 30, 12)),
        "cdist of few": (96 * 3 * 12, lambda m, x: torch.cdist(x[:, :3], x), ),
        "cdist by the city block": (0, lambda m, x: torch.cdist(x, m.w0, p=1.0), (1, 30, 12)),
        "pdist": (96 * 95 // 2 * 12, lambda m, x: F.pdist(x[0])),
        "linalg.matmul": (96 * 12 * 5, lambda m, x: torch.linalg.matmul(x, m.w0), (12, 5)),
        "multi_dot": (chain, lambda m, x: torch.linalg.multi_dot((x[0], m.w0, m.w1)), (12, 5), (5, 7)),
        "chain_matmul": (chain, lambda m, x: torch.chain_matmul(x[0], m.w0, m.w1), (12, 5), (5, 7)),
        "convolution over time": (17280, lambda m, x: torch.conv_tbc(time(x), m.w0, m.w1, 1), (3, 12, 5), (5,)),
    }  # fmt: skip
    for name, (macs, function, *shapes) in calls.items():
        case(name, "function", "tokens", lambda f=function, s=shapes: (f, *s), macs=macs)
    case("bilinear", "module", "tokens", lambda: (Twice(nn.Bilinear(12, 12, 5)),), macs=96 * 5 * 12 * 13)
    case("bilinear without bias", "module", "tokens", lambda: (Twice(nn.Bilinear(12, 12, 5, False)),), macs=74880)
    for told, norm in (("", nn.utils.parametrizations.spectral_norm), (", old", nn.utils.spectral_norm)):
        # The largest singular value is that of a product of the matrix with two vectors.
        case(f"spectral norm of a convolution{told}", "module", "2-D",
             lambda n=norm: (nn.Sequential(n(nn.Conv2d(12, 6, 3))),), macs=38880 + 6 * 108 + 6)  # fmt: skip
        case(f"spectral norm of a linear layer{told}", "module", "tokens",
             lambda n=norm: (nn.Sequential(n(nn.Linear(12, 6))),), macs=96 * 72 + 72 + 6)  # fmt: skip


class Twice(nn.Module):
    """Gives a layer the same tensor twice."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x, x)


class Mapped(nn.Module):
    """Runs a layer by ``torch.vmap``."""

    def __init__(self, layer, **axes):
        super().__init__()
        self.layer, self.axes = layer, axes

    def forward(self, x):
        return torch.vmap(self.layer, **self.axes)(x)


def _mapped():
    for bias in (True, False):
        case(f"linear{' with bias' * bias}", "by vmap", "tokens", lambda b=bias: (Mapped(nn.Linear(12, 5, bias=b)),))
    case("convolution", "by vmap", "of 4", lambda: (Mapped(nn.Conv2d(12, 6, 3, bias=False)),))
    case("convolution with bias", "by vmap", "of 4", lambda: (Mapped(nn.Conv2d(12, 6, 3)),))
    case("two layers", "by vmap", "tokens",
         lambda: (Mapped(nn.Sequential(nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 7)), out_dims=1),))  # fmt: skip
    case("layer norm", "by vmap", "tokens", lambda: (Mapped(nn.LayerNorm(12)),))
    vmap, sdpa = torch.vmap, F.scaled_dot_product_attention
    case("product of tokens", "by vmap", "tokens", lambda: (lambda m, x: vmap(lambda y: y @ y.mT)(x),))
    case("product of each token", "by vmap", "tokens",
         lambda: (lambda m, x: vmap(vmap(lambda y: F.linear(y[None], m.w0, m.w1)))(x), (5, 12), (5,)))  # fmt: skip
    case("product with each of three", "by vmap", "tokens",
         lambda: (lambda m, x: vmap(lambda y, w: y @ w, (None, 0), 1)(x, m.w0) @ m.w1, (3, 12, 5), (5, 4)))  # fmt: skip
    each = lambda m, x: vmap(lambda y: F.conv2d(y, m.w0), 1, 1, chunk_size=5)(x[:, :, None])  # noqa: E731
    case("convolution of each channel", "by vmap", "2-D", lambda: (each, (4, 1, 3, 3)))
    case("attention", "by vmap", "tokens",
         lambda: (lambda m, x: vmap(lambda q: sdpa(q, q, q))(x.unflatten(2, (3, 4)).transpose(1, 2)),))  # fmt: skip
    case("product with a vector", "by vmap", "tokens", lambda: (lambda m, x: vmap(lambda y: y @ m.w0)(x), (12,)),
         macs=1152)  # fmt: skip
    case("relu", "by vmap", "2-D", lambda: (lambda m, x: vmap(torch.relu)(x),))


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


class Packed(nn.Module):
    """A recurrent layer on sequences of several lengths, packed."""

    def __init__(self, kind, lengths, **options):
        super().__init__()
        self.layer, self.lengths = kind(12, 6, **options), lengths

    def forward(self, x):
        x = x.expand(len(self.lengths), -1, -1)
        return self.layer(pack_padded_sequence(x, torch.tensor(self.lengths), True, enforce_sorted=False))[0].data


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
        case(f"{name} of a packed batch", "module", "tokens", lambda k=kind: (Packed(k, (96,)),))
        case(f"{name} of 2 layers in both directions of a packed batch", "module", "tokens",
             lambda k=kind: (Packed(k, (96, 7, 40), num_layers=2, bidirectional=True),))  # fmt: skip
        case(f"{name} cell", "module", "vector", lambda k=name: (getattr(nn, f"{k}Cell")(12, 6),))
    case("LSTM with projections", "module", "tokens", lambda: (nn.LSTM(12, 6, batch_first=True, proj_size=4),))


for collect in (_products, _vectors, _mapped, _attention, _recurrent):
    collect()

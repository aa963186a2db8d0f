"""A user's PyTorch module, read into a Graph: any network under every convention.

``torch.fx`` follows the module's Python and keeps what it computes in vain; where it cannot (control flow that depends
on data), ``torch.export`` records one run, and what is computed in vain is gone. Either way no weight is read and
nothing is multiplied. The graph nests as the modules do and holds at the input size at which it was read.

A tensor [1, C, H, W] is a Shape; [1, C] is C×1×1 and [1, A, B] is A×1×B; the first of more axes are merged.

An operation that this file does not know becomes an ``Opaque`` node: worth nothing, and listed by ``opaque_nodes``
until ``register_rule`` says what it costs. Parameters that no operation reads stand in a dead node ``unused``.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import logging
import os
import re
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from elastic_search.arch import ops
from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Op, Shape
from elastic_search.errors import ElasticError, ShapeError, SpecError, UnknownNameError, UsageError
from elastic_search.nn.nesting import IMAGE, Item, Nesting, levels
from elastic_search.nn.reading import FREE_FUNCTIONS, FUNCTIONS, MODULES, OF_WEIGHTS, VIEWS, Call, dotted, shape_of

RuleOf = Callable[[tuple[Shape, ...], Shape], int]
_RULES: dict[str, RuleOf] = {}
_RULED: dict[str, Callable[..., Any]] = {}
_SPEC = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def register_rule(target: str | type[nn.Module] | Callable[..., Any]) -> Callable[[RuleOf], RuleOf]:
    """Say what an operation costs; the decorated rule returns its multiply-adds for one image.

        @register_rule("mypackage.DeformConv")
        def deform_conv(inputs: tuple[Shape, ...], output: Shape) -> int:
            return output.numel * inputs[0].channels * 9

    Every convention counts the number as it is, torch's twice. A module of the class is then read as one operation with
    its parameters, whatever is inside.

    Args:
        target: a module class, a function, or the dotted name under which ``opaque_nodes`` lists it.
    """

    def keep(rule: RuleOf) -> RuleOf:
        name = target if isinstance(target, str) else dotted(target)
        _RULES[name] = rule
        if inspect.isfunction(target):
            _RULED[name] = target
        return rule

    return keep


def load_module(spec: str) -> nn.Module:
    """The module that ``package.module:factory`` makes; runs the user's code.

    The current folder is searched last. ``factory`` is a function without arguments, a module class or a module.

    Raises:
        UsageError: if there is none, with what the user's code said.
    """
    if not _SPEC.fullmatch(spec) or "__" in spec:
        raise UsageError(f"{spec!r} does not name a factory", "write package.module:factory")
    home, _, name = spec.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    with _users_code(f"importing {home}", "the current folder and installed packages are searched"):
        found = importlib.import_module(home)
    if not hasattr(found, name):
        known = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
        raise UnknownNameError(f"factory of {home}", name, sorted(known))
    made = getattr(found, name)
    if not isinstance(made, nn.Module):
        if not callable(made):
            raise UsageError(
                f"{spec} is no function but {type(made).__name__}", "name a function that returns a module"
            )
        with _users_code(f"{spec}()", "name a function that takes no arguments and returns a module"):
            made = made()
    if not isinstance(made, nn.Module):
        raise UsageError(f"{spec}() returned {type(made).__name__}, not a torch.nn.Module")
    return made


@contextlib.contextmanager
def _users_code(doing: str, hint: str | None = None) -> Iterator[None]:
    """What it prints goes to stderr, so that our output stays ours; what it raises becomes one line."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except ElasticError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{doing} failed: {_said(error)}", hint) from error


def _said(error: BaseException) -> str:
    """Type and first line of an error."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__


class _Value(NamedTuple):
    """What a name of the traced code holds: the items it was made from, and the parameters."""

    sources: tuple[int, ...] = ()
    weights: tuple[str, ...] = ()


def trace(module: nn.Module, input: Shape) -> Graph:
    """Read a module in eval mode on one image; the module stays as it is.

    Args:
        module: takes one batch of images and returns a tensor, or several in a tuple, list or dict.
        input: shape of the image; the graph holds at this size.

    Raises:
        SpecError: if neither torch.fx nor torch.export can read it; says why.
    """
    if any(nn.parameter.is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        raise SpecError("the module has lazy layers that have no shape yet", "run it once on an image first")
    reasons = []
    for way, read in (("torch.fx", _by_fx), ("torch.export", _by_export)):
        try:
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                # Weights are shared with the user's module, and never written.
                twin = deepcopy(module, {id(p): p for p in module.parameters()}).eval()
                if _Tracer().is_leaf_module(twin, ""):
                    twin = nn.Sequential(OrderedDict({type(twin).__name__.lower(): twin}))
                return _graph(read(twin, input), twin)
        except ElasticError:
            raise
        except Exception as error:
            reasons.append(f"{way}: {_said(error)}")
    raise SpecError(
        f"cannot read {type(module).__name__} at {input}; {'; '.join(reasons)}",
        "it must run on one image of this size; write control flow over tensors as modules with a registered rule",
    )


def _image(module: nn.Module, input: Shape) -> Tensor:
    floating = (p for p in module.parameters() if p.is_floating_point())
    like = next(floating, torch.empty(0))
    return torch.zeros(1, *input, dtype=like.dtype, device=like.device)


class _Reader:
    """Turns calls, in execution order, into items."""

    def __init__(self, module: nn.Module, input: Shape) -> None:
        self.module, self.input = module, input
        self.items: list[Item] = []
        self.values: dict[fx.Node, _Value] = {}
        self.bases: dict[fx.Node, fx.Node] = {}
        self.outputs: tuple[int, ...] = ()
        self.names: dict[str, str] = {}
        first: dict[int, str] = {}
        for name, parameter in module.named_parameters(remove_duplicate=False):
            self.names[name] = first.setdefault(id(parameter), name)

    def shape(self, source: int) -> Shape:
        return self.input if source == IMAGE else self.items[source].output

    def gathered(self, nodes: Iterable[fx.Node]) -> _Value:
        """Everything that some names were made from, in order."""
        values = [self.values[node] for node in nodes]
        # An operand that occurs twice is read twice.
        sources = tuple(source for value in values for source in value.sources)
        return _Value(sources, tuple(dict.fromkeys(weight for value in values for weight in value.weights)))

    def read(self, node: fx.Node, call: Call, stack: tuple[str, ...], reads: list[fx.Node]) -> None:
        """Add what a call does, and remember its value under ``node``."""
        value = self.gathered(reads)
        result = first_tensor(call.result)
        if call.module is not None:
            path = stack[-1].partition("@")[0]
            own = [f"{path}.{name}" for name, _ in call.module.named_parameters()]
            value = value._replace(weights=(*value.weights, *(self.names[name] for name in own)))
        elif result is None or (call.known in OF_WEIGHTS and not value.sources):
            # A size, or a number made of weights alone: whoever reads it depends on what it was made from.
            self.values[node] = value._replace(sources=tuple(dict.fromkeys(value.sources)))
            return
        elif call.known in VIEWS and not isinstance(call.result, Tensor):
            # The parts are taken out one by one.
            self.values[node] = value
            self.bases[node] = reads[0]
            return
        output = shape_of(result) if result is not None else Shape(0, 0, 0)
        op, sources = self.op(call, value, output)
        others = tuple(source for source in value.sources if source not in sources)
        if others:
            sources = (self.depend(stack, sources[0], others), *sources[1:])
        self.values[node] = _Value((self.add(stack, call, op, sources, output, value.weights),))
        if reads and call.known in VIEWS:
            self.bases[node] = reads[0]
        if reads and call.mutates:
            self.write(reads[0], node)

    def op(self, call: Call, value: _Value, output: Shape) -> tuple[Op, tuple[int, ...]]:
        """The op of a call with the sources it reads; an unknown one is opaque."""
        # Without an input of its own, a node of weights alone stands after the image.
        sources = value.sources or (IMAGE,)
        shapes = tuple(self.shape(source) for source in sources)
        rule = _RULES.get(call.label)
        if rule is not None:
            with _users_code(f"the rule for {call.label}"):
                macs = rule(shapes, output)
            if not isinstance(macs, int) or isinstance(macs, bool) or macs < 0:
                raise UsageError(f"the rule for {call.label} returned {macs!r}, not a count of multiply-adds")
            return ops.Custom(call.label, shapes, output, macs=macs), sources
        convert = MODULES.get(type(call.module)) if call.module is not None else FUNCTIONS.get(call.known)
        op = None
        if convert is not None and value.sources:
            op = convert(call, shapes, output)
        if isinstance(op, (ops.Add, ops.Gate)) and shapes[0].numel < shapes[-1].numel:
            sources = sources[::-1]
        elif op is not None and not isinstance(
            op, (ops.Add, ops.Gate, ops.Concat, ops.Crop, ops.Elementwise, ops.Fixed, ops.Upsample)
        ):
            sources = sources[:1]
        if op is not None:
            with contextlib.suppress(ShapeError, ValueError):
                if op.shape(*(self.shape(source) for source in sources)) == output:
                    return op, sources
        if call.module is None and call.known in FREE_FUNCTIONS:
            return ops.Fixed(call.name, shapes, output), value.sources or (IMAGE,)
        return ops.Opaque(call.label, shapes, output), value.sources or (IMAGE,)

    def depend(self, stack: tuple[str, ...], source: int, others: tuple[int, ...]) -> int:
        """A view of ``source`` that somebody who reads ``others`` too reads: weights or a size made of them."""
        shapes = tuple(map(self.shape, (source, *others)))
        self.items.append(
            Item(levels(stack), "depends", ops.Fixed("depends", shapes, shapes[0]), (source, *others), shapes[0])
        )
        return len(self.items) - 1

    def add(
        self, stack: tuple[str, ...], call: Call, op: Op, sources: tuple[int, ...], output: Shape,
        weights: tuple[str, ...],
    ) -> int:  # fmt: skip
        stack = levels(stack)
        name = call.name
        if call.module is not None:
            name = stack[-1].partition("@")[0].rpartition(".")[2]
            stack = stack[:-1]
        self.items.append(Item(stack, name, op, sources, output, weights))
        return len(self.items) - 1

    def write(self, target: fx.Node, node: fx.Node) -> None:
        """After an operation in place, whoever reads its target reads its result; so do the target's views."""
        (new,) = self.values[node].sources
        while target in self.bases:
            self.values[target] = _Value((new,))
            target = self.bases[target]
            old = self.values[target].sources
            if len(old) != 1:
                return
            item = self.items[new]
            shapes = (self.shape(old[0]), item.output)
            self.items.append(
                Item(item.stack, "write", ops.Fixed("write", shapes, shapes[0]), (old[0], new), shapes[0])
            )
            new = len(self.items) - 1
        self.values[target] = _Value((new,))


def first_tensor(result: Any) -> Tensor | None:
    """The result, or the first tensor in it."""
    if isinstance(result, Tensor):
        return result
    if isinstance(result, dict):
        result = tuple(result.values())
    if isinstance(result, (tuple, list)) and not isinstance(result, torch.Size):
        return next((found for part in result if (found := first_tensor(part)) is not None), None)
    return None


class _Tracer(fx.Tracer):
    """Stops at modules that are one operation, and at those that the user has given a rule."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
        torchs = type(m).__module__.startswith("torch.nn.modules") and not isinstance(m, containers)
        return torchs or dotted(type(m)) in _RULES


class _Sizes(fx.Interpreter):
    """Remembers what every node returns, without the numbers."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.results: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        self.results[n] = torch.utils._pytree.tree_map_only(
            Tensor, lambda tensor: torch.empty_like(tensor, device="meta"), result
        )
        return result


def _results(module: fx.GraphModule, image: Tensor) -> dict[fx.Node, Any]:
    """What every node returns; computed for real only where an operation cannot say its size."""
    sizes = _Sizes(module)
    try:
        with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
            sizes.run(mode.from_tensor(image))
    except Exception:
        sizes = _Sizes(module)
        sizes.run(image)
    return sizes.results


def _by_fx(module: nn.Module, input: Shape) -> _Reader:
    tracer = _Tracer(autowrap_functions=tuple(_RULED.values()))
    graph = tracer.trace(module)
    traced = fx.GraphModule(tracer.root, graph)
    results = _results(traced, _image(module, input))
    reader = _Reader(module, input)
    for node in graph.nodes:
        if node.op == "placeholder":
            first = not any(IMAGE in value.sources for value in reader.values.values())
            reader.values[node] = _Value((IMAGE,)) if first else _Value()
        elif node.op == "get_attr":
            name = reader.names.get(str(node.target))
            reader.values[node] = _Value((), (name,) if name else ())
        elif node.op == "output":
            reader.outputs = reader.gathered(node.all_input_nodes).sources
        else:
            # Each operand as often as it is written.
            reads: list[fx.Node] = []
            fx.map_arg((node.args, node.kwargs), reads.append)
            args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: results.get(n))
            stack = tuple((node.meta.get("nn_module_stack") or {}).keys())
            called = module.get_submodule(str(node.target)) if node.op == "call_module" else None
            call = Call.of(called if called is not None else node.target, args, kwargs, results[node])
            reader.read(node, call, stack, reads)
    return reader


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's log and the code that it prints where it gives up: what it raises says why."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _by_export(module: nn.Module, input: Shape) -> _Reader:
    with _quiet():
        program = torch.export.export(module, (_image(module, input),), strict=False)
    signature = program.graph_signature
    reader = _Reader(module, input)
    nodes = list(program.graph.nodes)
    at = 0
    while at < len(nodes):
        node, at = nodes[at], at + 1
        if node.op == "placeholder":
            name = signature.inputs_to_parameters.get(node.name)
            is_image = node.name in signature.user_inputs
            reader.values[node] = _Value((IMAGE,) if is_image else (), (reader.names[name],) if name else ())
        elif node.op == "output":
            returned = [n for n in node.all_input_nodes if n.name in signature.user_outputs]
            reader.outputs = reader.gathered(returned).sources
        else:
            stack, whole = _exported_stack(module, node)
            group = [node]
            while whole is not None and at < len(nodes) and _exported_stack(module, nodes[at]) == (stack, whole):
                group.append(nodes[at])
                at += 1
            reads: list[fx.Node] = []
            for member in group:
                fx.map_arg((member.args, member.kwargs), reads.append)
            reads = [read for read in reads if read not in group]
            if whole is not None:
                # Parameters are the module's own.
                reads = [read for read in reads if reader.values[read].sources]
            args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: n.meta.get("val"))
            if whole is not None:
                args, kwargs = tuple(read.meta.get("val") for read in reads), {}
            call = Call.of(whole if whole is not None else node.target, args, kwargs, group[-1].meta.get("val"))
            reader.read(node, call, stack, reads)
            for member in group:
                reader.values[member] = reader.values[node]
    return reader


def _exported_stack(module: nn.Module, node: fx.Node) -> tuple[tuple[str, ...], nn.Module | None]:
    """The module calls around an exported node, and the innermost module where that is one operation."""
    keys: list[str] = []
    for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
        if path:
            path = path.partition("@")[0]
            _, at, call = key.partition("@")
            keys.append(path + at + call)
            found = module.get_submodule(path)
            if type(found) in MODULES or dotted(type(found)) in _RULES:
                return tuple(keys), found
    return tuple(keys), None


def _graph(reader: _Reader, module: nn.Module) -> Graph:
    """The items as a graph: each parameter counted by one node, nested as the modules are."""
    if not reader.outputs:
        raise SpecError(f"{type(module).__name__} returns no tensor that depends on the image")
    numel = {name: p.numel() for name, p in module.named_parameters()}
    items, outputs = _own(reader, numel)
    owned = {name for item in items for name in item.weights}
    for name in numel:
        if name not in owned:
            path = ("unused", *(f"unused.{level}" for level in levels((name,))))
            items.append(Item(path[:-1], name.rpartition(".")[2], ops.Unused(numel[name]), (), Shape(0, 0, 0), (name,)))
    return Nesting(items, outputs, module).graph()


def _own(reader: _Reader, numel: dict[str, int]) -> tuple[list[Item], tuple[int, ...]]:
    """The items and outputs, with every parameter given to the first node that reads it, a live one if there is one."""
    items, outputs = reader.items, reader.outputs
    live = set(outputs)
    for i in reversed(range(len(items))):
        if i in live:
            live.update(items[i].sources)
    owner: dict[str, int] = {}
    carried: dict[int, int] = {}
    for i in sorted(range(len(items)), key=lambda i: i not in live):
        item = items[i]
        new = tuple(name for name in item.weights if name not in owner)
        others = [owner[name] for name in item.weights if name in owner]
        owner.update(dict.fromkeys(new, i))
        count = sum(numel[name] for name in new)
        if isinstance(item.op, (ops.Fixed, ops.Elementwise)):
            item.op = item.op.edited(weights=count)
        elif item.op.params != count:
            # Weights of another node, or made of others: what is left over travels in a node before this one.
            item.weights_of = others[0] if others else i
            if count:
                carried[i] = count
        item.weights = new
    if not carried:
        return items, outputs
    moved: dict[int, int] = {IMAGE: IMAGE}
    found: list[Item] = []
    for i, item in enumerate(items):
        item.sources = tuple(moved[source] for source in item.sources)
        if i in carried:
            first = item.sources[0]
            shape = found[first].output if first != IMAGE else reader.input
            found.append(
                Item(item.stack, "weights", ops.Fixed("weights", (shape,), shape, carried[i]), (first,), shape)
            )
            item.sources = (len(found) - 1, *item.sources[1:])
        moved[i] = len(found)
        found.append(item)
    for item in found:
        if item.weights_of is not None:
            item.weights_of = moved[item.weights_of]
    return found, tuple(moved[output] for output in outputs)

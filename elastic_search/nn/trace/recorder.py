"""One run of a module, with its own code, on tensors without numbers.

Every call of a module and of a function of torch is heard where the module's code makes it. The tensors are real to
that code: its hooks, its branches and what it writes in place do as they always do. Nothing is multiplied and no
weight is read, unless the code asks for a number: then the module runs on zeros.
"""

from __future__ import annotations

import contextlib
import opcode
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, FunctionType
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from elastic_search.cost.tools import PTFLOPS
from elastic_search.nn.trace import rules
from elastic_search.nn.trace.call import Call, dotted, unmapped
from elastic_search.nn.trace.dispatched import Dispatched
from elastic_search.nn.trace.heard import Counts, of_function, of_mapped, of_module, parents, ptflops
from elastic_search.nn.trace.hollow import Hollow, NumbersAsked
from elastic_search.nn.trace.reader import Reader
from elastic_search.nn.trace.tables import FREE_FUNCTIONS, FUNCTIONS, MODULES


class Run(NamedTuple):
    """What a run showed besides the calls.

    Attributes:
        numbers: the operation by which the module's code asked for numbers, so that it ran on zeros; "" if it did not.
        asked_tracing: whether it asked if it was being traced.
    """

    numbers: str
    asked_tracing: bool


def record(module: nn.Module, args: Sequence[Any], kwargs: dict[str, Any], make: Callable[[], Reader], *,
           tracing: bool = False) -> tuple[Reader, Run]:  # fmt: skip
    """Run a module once, and read what it calls.

    Args:
        module: in the mode in which it is to be read.
        args: its inputs, tensors of zeros among them.
        kwargs: its inputs by keyword.
        make: makes the reader that hears the calls.
        tracing: whether the module's code is told that ``torch.jit.trace`` runs it.
    """
    hollow = Hollow()
    try:
        without, named = tree_map_only(Tensor, hollow.empty, (tuple(args), kwargs))
        return _run(module, without, named, make(), tracing, hollow)
    except NumbersAsked as error:
        asked = str(error)
    except Exception:
        asked = ""  # the user's own error comes again
    try:
        reader, ran = _run(module, tuple(args), kwargs, make(), tracing, None)
    except Exception:
        # Code that compares functions may take a replaced one for another; so does the user's own error come again.
        reader, ran = _run(module, tuple(args), kwargs, make(), tracing, None, replace=False)
        reader.notes[NOT_REPLACED] = None
    return reader, ran._replace(numbers=asked)


def _run(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], reader: Reader,
         tracing: bool, hollow: Hollow | None, replace: bool = True) -> tuple[Reader, Run]:  # fmt: skip
    recorder, asked = Recorder(reader, hollow), False

    def is_tracing() -> bool:
        nonlocal asked
        asked = asked or sys._getframe(1).f_globals.get("__name__", "").partition(".")[0] != "torch"
        return tracing

    reader.begin(args, kwargs)
    with (
        # Kernels are chosen by whether there is a gradient, and counters run with gradients.
        torch.set_grad_enabled(hollow is not None),
        mock.patch.object(nn.Module, "__call__", recorder.called),
        mock.patch.object(torch.jit, "is_tracing", is_tracing),
        torch.compiler.set_stance("force_eager") if _compiled(module) else contextlib.nullcontext(),
        mock.patch.object(torch._functorch.vmap, "_remove_batch_dim", recorder.unmapped),
        mock.patch.object(Tensor, "as_subclass", recorder.as_subclass),
        recorder.replaced.listening() if replace else contextlib.nullcontext(),
        recorder.dispatched,
        recorder.listening(),
    ):
        result = module(*args, **kwargs)
        recorder._missed()
        reader.end(result)
    return reader, Run("", asked)


def _compiled(module: nn.Module) -> bool:
    return any(type(part).__name__ == "OptimizedModule" for part in module.modules())


class Recorder(TorchFunctionMode):
    """Hears calls of functions by torch's own protocol, and of modules by ``called``."""

    def __init__(self, reader: Reader, hollow: Hollow | None) -> None:
        super().__init__()
        self.reader, self.dispatched, self.replaced = reader, Dispatched(hollow), ptflops.Replaced()
        self.opened: dict[Any, FunctionType | None] = {}
        self.paths: dict[int, str] = {}
        for path, part in reader.module.named_modules():
            self.paths.setdefault(id(part), path)
        self.stack: list[str] = []
        self.calls = Counter[str]()
        ruled = [function for function in rules.RULED.values() if isinstance(function, FunctionType)]
        self.whole = {function.__code__: function for function in (*ruled, *_elastic(reader.module))}
        self.inside: list[tuple[Any, ...]] = []
        self.heard, self.parents = Counts(), parents(reader.module)
        recorder = self

        def called(part: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return recorder.module(part, args, kwargs)

        def as_subclass(tensor: Tensor, kind: type) -> Any:
            """Torch tells nobody of the new tensor."""
            result: Any = _AS_SUBCLASS(tensor, kind)
            recorder.reader.set(result, recorder.reader.value(tensor))
            return result

        self.called, self.as_subclass = called, as_subclass

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear all calls; functions of the user that have a rule are not torch's, and are seen by the interpreter."""
        before = sys.getprofile()
        with self:
            if self.whole:
                sys.setprofile(self._function)
            try:
                yield
            finally:
                if self.whole:
                    sys.setprofile(before)

    def _function(self, frame: FrameType, event: str, result: Any) -> None:
        """Read a function of the user as a whole: nothing that it calls is heard."""
        if frame.f_code not in self.whole:
            return
        if event == "call":
            names = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
            self.inside.append(tuple(frame.f_locals[name] for name in names))
            self.dispatched.take()
        elif event == "return":
            args, ran = self.inside.pop(), self.dispatched.take()
            self.replaced.take()
            if not self.inside:
                call = Call.of_function(self.whole[frame.f_code], args, {}, result, "")
                self.reader.read(call, tuple(self.stack), ran, Counts())

    def module(self, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a module: one that is an operation of its own is read as a whole, others by the calls that they make."""
        path = None if self.inside else self.paths.get(id(part))
        if path is None:  # made on the way, or hidden from its parent
            return _CALL(part, *args, **kwargs)
        times = self.calls[path]
        self.calls[path] += 1
        if path:
            self.stack.append(f"{path}@{times}" if times else path)
        try:
            if isinstance(part, torch.jit.ScriptModule):
                return self.script(part, args, kwargs)
            if self.is_whole(part):
                return self.layer(part, args, kwargs)
            result = _CALL(part, *args, **kwargs)
            with torch._C.DisableTorchFunction():
                heard = of_module(part, args, result, counted_by=self.parents[id(part)])
                if heard:
                    self.reader.layer(type(part).__name__, result, tuple(self.stack), heard)
            return result
        finally:
            if path:
                self.stack.pop()

    @staticmethod
    def is_whole(part: nn.Module) -> bool:
        """Whether a module is read as one operation."""
        if dotted(type(part)) in rules.RULES:
            return True
        return type(part) in MODULES and "forward" not in vars(part)

    def unmapped(self, tensor: Tensor, level: int, size: int, axis: int) -> Tensor:
        """What ``torch.vmap`` does with each result of the function that it ran."""
        result: Tensor = _REMOVE(tensor, level, size, axis)
        with torch._C.DisableTorchFunction():
            self.reader.unmapped(result, unmapped(tensor))
        return result

    def script(self, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a module that torch.jit has compiled, and whose calls nobody hears: its operators are counted."""
        self._missed()
        self.inside.append(args)
        result = _CALL(part, *args, **kwargs)
        self.inside.pop()
        with torch._C.DisableTorchFunction():
            self.reader.read(
                Call.of_module(part, args, kwargs, result), tuple(self.stack), self.dispatched.take(), Counts()
            )
        self.reader.notes[COMPILED] = None
        return result

    def _missed(self) -> None:
        """Count what ran since the last call, if anything did: code of torch's own that calls no function."""
        ran = self.dispatched.take()
        if ran.macs or ran.unknown:
            self.reader.missed(ran, tuple(self.stack))
            self.reader.notes[COMPILED] = None

    def _replaced(self) -> Counts:
        """What ptflops counted since the last call."""
        return Counts({PTFLOPS.name: self.replaced.take()})

    def layer(self, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a module that is one operation. Its hooks are not part of it."""
        stack = tuple(self.stack)

        def forward(*given: Any, **named: Any) -> Any:
            del vars(part)["forward"]
            self._missed()
            self.inside.append(given)
            self.heard.clear()
            result = type(part).forward(part, *given, **named)
            self.inside.pop()
            with torch._C.DisableTorchFunction():
                same = any(result is value for value in (*given, *named.values())) and isinstance(result, Tensor)
                if same and not getattr(part, "inplace", False):
                    # What reads this module's result is told from what reads its input.
                    result = result.view_as(result)
                heard = (
                    self.heard + self._replaced() + of_module(part, given, result, counted_by=self.parents[id(part)])
                )
                call, ran = Call.of_module(part, given, named, result).whole(), self.dispatched.take()
                self.reader.read(call, stack, ran, heard + of_mapped(call, ran))
            return result

        vars(part)["forward"] = forward
        try:
            return _CALL(part, *args, **kwargs)
        finally:
            vars(part).pop("forward", None)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs, func = kwargs or {}, self.replaced.originals.get(func, func)
        opened = self._opened(func)
        if opened is not None:
            with self:
                return opened(*args, **kwargs)
        if self.inside:
            result = func(*args, **kwargs)
            call = Call.of_function(func, args, kwargs, result, _written_as(sys._getframe(1))).whole()
            self.heard += of_function(call)
            return result
        if (
            self.dispatched.hollow
            and getattr(func, "__name__", "") in _READS_MEMORY
            and self.dispatched.hollow.is_hollow(args[0])
        ):
            raise NumbersAsked(func.__name__)
        written_as = _written_as(sys._getframe(1))
        self._missed()
        result = func(*args, **kwargs)
        call, ran = Call.of_function(func, args, kwargs, result, written_as).whole(), self.dispatched.take()
        self.reader.read(call, tuple(self.stack), ran, of_function(call) + of_mapped(call, ran) + self._replaced())
        return result

    def _opened(self, func: Any) -> FunctionType | None:
        """A function written in Python, to be heard by what it calls; None for one that is an operation of its own.

        Such a function first asks whether somebody listens, and if so calls the listener instead of running. The one
        returned has the same code, and asks nobody.
        """
        if func in self.opened:
            return self.opened[func]
        opened = None
        of_torch = isinstance(func, FunctionType) and func.__module__ == "torch.nn.functional"
        if of_torch and not any(func.__name__ in names for names in (FUNCTIONS, FREE_FUNCTIONS, ptflops.FUNCTIONS)):
            unasked = {**func.__globals__, **_CHECKS}
            opened = FunctionType(func.__code__, unasked, func.__name__, func.__defaults__, func.__closure__)
            opened.__kwdefaults__ = func.__kwdefaults__
        self.opened[func] = opened
        return opened


def _elastic(module: nn.Module) -> list[FunctionType]:
    """The functions of Elastic convolutions that are operations of their own, if a module has such convolutions."""
    home = "elastic_search.nn.elastic.elastic_conv"
    if not any(type(part).__module__ == home for part in module.modules()):
        return []
    return [vars(sys.modules[home])[label.rpartition(".")[2]] for label in FUNCTIONS if label.startswith(home)]


NOT_REPLACED = "ptflops replaces functions of torch, and the module does not run with them replaced"
"""What a reader of the counts should know where the module's code compares functions."""
COMPILED = "parts are compiled by torch.jit: their multiply-adds are counted, and nothing else that a tool may count"
"""What a reader of the counts should know then."""

_CALL = nn.Module.__call__
_AS_SUBCLASS: Callable[[Tensor, type], Any] = Tensor.as_subclass
_REMOVE = torch._C._functorch._remove_batch_dim
_CHECKS = dict.fromkeys(
    ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"), lambda *args: False
)


_READS_MEMORY = frozenset(("numpy", "tolist", "data_ptr", "__array__", "__dlpack__", "__repr__", "__format__"))
"""Methods that read numbers, or give them away, without an operator of torch."""
_OPERATORS = frozenset(code for name, code in opcode.opmap.items() if name.startswith(("BINARY_OP", "UNARY_")))


def _written_as(frame: FrameType | None) -> str:
    """How the call that a frame is in is written: as an "operator", a "function" of torch.nn.functional, or else ""."""
    assert frame is not None
    if frame.f_code.co_code[frame.f_lasti] in _OPERATORS:
        return "operator"
    if frame.f_code is torch.overrides.handle_torch_function.__code__:
        caller = frame.f_back
        if caller is not None and caller.f_globals.get("__name__") == "torch.nn.functional":
            return "function"
    return ""

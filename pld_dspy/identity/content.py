"""Any value as a text of its content: equal for equal values, in every process.

What the user wrote himself is known by its code, with what that code reads; what is installed, by its name and version.
Addresses and the order of sets and dictionaries say nothing.
"""

import copyreg
import functools
import hashlib
import inspect
import sys
import types
import uuid
from collections.abc import Iterable
from enum import Enum
from typing import Any

import dspy
import numpy as np
from dspy.utils.unbatchify import Unbatchify
from pydantic import BaseModel

from pld_dspy.identity.code import held_in, imported, is_own, named_in, used_by, version_of

SECRET = ("api_key", "api_base", "base_url", "extra_headers", "headers")  # settings that no run folder holds
# What calls, compiles and optimizers leave on a program. It decides nothing, and a saved program does not have it.
_LEFT_ON_PROGRAMS = {
    "history", "callbacks", "pld", "_compiled", "candidate_programs", "mb_candidate_programs", "trial_logs",
    "detailed_results",
}  # fmt: skip
_LEFT_ON_PREDICTORS = _LEFT_ON_PROGRAMS | {"stage", "traces", "train", "demos", "metadata", "_index"}
_FIELDS = {"__annotations__", "__pydantic_fields__"}  # members of a class that are no code, but count
_CACHES = {"_abc_impl", "_value2member_map_"}  # those that do not
# Modules whose objects change while they work, and which are not looked into.
_AT_WORK = {"threading", "queue", "asyncio", "concurrent", "multiprocessing", "socket", "ssl", "subprocess"}
_PLAIN = (str, int, float, bool, complex, bytes, type(None))
_CODE = (types.FunctionType, staticmethod, classmethod, property)

_PROCESS = uuid.uuid4().hex
_unseen: dict[int, object] = {}  # what has no stable content, kept so that no other object gets the same address


Texts = dict[int, tuple[Any, str]]  # by address: the value, so that it keeps its address, and its text


def looked_at(values: Iterable[Any], first_seen: Texts | None = None) -> tuple[str, list[Any]]:
    """A hash of values, and what in them has no stable content, as a lock or an open file.

    Such an object is the same only as itself, and only in this process. Objects around code that are in `first_seen`
    count as they were then; the others are added to it.
    """
    unseen: list[Any] = []
    texts = []
    for value in values:
        look = _Look(unseen, {} if first_seen is None else first_seen)
        try:
            texts.append(look.all_of(value))
        except RecursionError:
            texts.append(look.address(value))
    return digest(",".join(texts)), unseen


def digest(text: str) -> str:
    """The first twelve hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


class _Look:
    """A look at one value, which makes a text of its content."""

    def __init__(self, unseen: list[Any], first_seen: Texts, names: Iterable[str] = ()) -> None:
        self.unseen, self._first_seen = unseen, first_seen
        self._known: dict[int, tuple[Any, str | int]] = {}  # by address: the value, and its text, or how deep it is
        self._depth = 0
        self._names = {*names}  # that code reads
        self._classes: list[type] = []  # of the user's
        self._functions: list[types.FunctionType] = []

    def all_of(self, value: Any) -> str:
        """The text of a value with all functions and classes that it leads to."""
        texts, seen, done = [self(value)], set(), 0
        while True:
            for function in self._functions[done:]:
                texts.append(self._function(function))
                done += 1
            new = [member for member in self._members() if member not in seen]
            if not new and done == len(self._functions):
                return _short(",".join(texts))
            for place, name in new:
                texts.append(f"{place}.{name}={self._at_first(vars(self._classes[place])[name], self._names)}")
            seen |= {*new}

    def __call__(self, value: Any) -> str:
        if type(value) in _PLAIN:
            return _short(repr(value))
        if id(value) in self._known:
            known = self._known[id(value)][1]
            return known if isinstance(known, str) else f"up({self._depth - known})"  # it holds itself
        self._known[id(value)] = value, self._depth
        self._depth += 1
        text = _short(self._text(value))
        self._depth -= 1
        self._known[id(value)] = value, text
        return text

    def address(self, value: Any) -> str:
        """A text for what has no stable content."""
        self.unseen.append(value)
        _unseen[id(value)] = value
        return f"unseen({_PROCESS} {id(value)})"

    def _members(self) -> list[tuple[int, str]]:
        """The members of the user's classes that count.

        Of a program, it is what DSPy calls and what the code names that was seen: how it is made and loads its data is
        no part of what it answers.
        """
        members = []
        for place, kind in enumerate(self._classes):
            inherited = {name for base in kind.__mro__ if not is_own(base.__module__) for name in vars(base)}
            skipped = "__init__" if issubclass(kind, dspy.Module) else ""
            called = {"forward", "aforward", *self._names, *inherited} - _CACHES
            for name, member in sorted(vars(kind).items()):
                if name.startswith("__"):
                    counts = bool(member) if name in _FIELDS else isinstance(member, _CODE) and name != skipped
                else:
                    counts = name in called or not (name.startswith("_") or issubclass(kind, dspy.Module))
                if counts:
                    members.append((place, name))
        return members

    def _node(self, kind: str, *parts: Any) -> str:
        return f"{kind}({','.join([self(part) for part in parts])})"

    def _text(self, value: Any) -> str:
        if type(value) in (list, tuple):
            return self._node(type(value).__name__, *value)
        if type(value) in (dict, types.MappingProxyType):
            items = sorted([(self._apart(name), item) for name, item in value.items()], key=lambda pair: pair[0])
            return f"dict({','.join([f'{name}:{self(item)}' for name, item in items])})"
        if type(value) in (set, frozenset):
            return f"set({','.join(sorted(map(self._apart, value)))})"
        if type(value) is np.ndarray and not value.dtype.hasobject:
            return self._node("array", str(value.dtype), value.shape, value.tobytes())
        match value:
            case dspy.Image():
                return f"image({_short(repr(value.format()))})"  # as models get it; it is too large to be kept
            case dspy.Example():
                return self._node("example", dict(value.items()), getattr(value, "_input_keys", None))
            case dspy.BaseLM():
                settings = {name: to for name, to in value.kwargs.items() if to is not None and name not in SECRET}
                return self._node("lm", type(value), value.model, settings)
            case Unbatchify():  # of DSPy's retriever, which works in a thread
                return self._node("batched", value.batch_fn)
            case dspy.Adapter():
                return self._node("adapter", type(value), _without(vars(value), {"callbacks"}))
            case dspy.Predict():
                demos = [{name: _as_saved(field) for name, field in demo.items()} for demo in value.demos]
                return self._node("predictor", type(value), demos, _without(vars(value), _LEFT_ON_PREDICTORS))
            case dspy.Module():
                return self._node("program", type(value), _without(vars(value), _LEFT_ON_PROGRAMS))
            case BaseModel():
                more = value.__pydantic_extra__, value.__pydantic_private__
                return self._node("model", type(value), _without(vars(value), _cached(type(value))), *more)
            case Enum():
                return self._node("member", type(value), value.name, value.value)
            case type():
                return self._class(value)
            case types.FunctionType():
                self._functions.append(value)
                return f"function({len(self._functions)})"
            case types.MethodType():
                return self._node("method", value.__func__, value.__self__)
            case types.ModuleType():
                return self._node("module", value.__name__, version_of(value.__name__))
            case types.CodeType():
                return self._code(value)
            case staticmethod() | classmethod():
                return self._node("method", type(value), value.__func__)
            case property():
                return self._node("property", value.fget, value.fset, value.fdel)
            case functools.cached_property():
                return self._node("property", value.func)
        return self._object(value)

    def _apart(self, value: Any) -> str:
        """The text of a part whose place is not known before its text is."""
        return _short(repr(value)) if type(value) in _PLAIN else _Look(self.unseen, self._first_seen).all_of(value)

    def _at_first(self, value: Any, names: Iterable[str]) -> str:
        """The text of what stands around code, at the first look: a program may keep its answers there."""
        if isinstance(value, (*_PLAIN, *_CODE, type, types.MethodType, types.ModuleType)):
            return self(value)
        if id(value) not in self._first_seen:
            self._first_seen[id(value)] = value, "up"  # for values that hold code which reads them
            text = _Look(self.unseen, self._first_seen, names).all_of(value)
            self._first_seen[id(value)] = value, text
        return self._first_seen[id(value)][1]

    def _class(self, kind: Any) -> str:
        if issubclass(kind, dspy.Signature):
            fields = [
                (name, field.annotation, field.json_schema_extra, field.default, field.metadata)
                for name, field in kind.fields.items()
            ]
            return self._node("signature", kind.instructions, fields)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if not is_own(kind.__module__) and named_in(kind.__module__, kind.__qualname__) is kind:
            return self._node("class", name, version_of(kind.__module__))
        self._classes.append(kind)
        return self._node("class", len(self._classes), name, kind.__bases__)

    def _function(self, function: types.FunctionType) -> str:
        around, code = function.__globals__, function.__code__
        module = around.get("__name__") or "__main__"
        held = dict(zip(code.co_freevars, map(held_in, function.__closure__ or ()), strict=True))
        parts = function.__defaults__, function.__kwdefaults__
        if not is_own(module):  # what other packages note on it says nothing, as PyTorch on those of Enum
            where = module, function.__qualname__
            made = () if named_in(*where) is function else (held, *parts)
            return self._node("function", *where, version_of(module), *made)
        used = used_by(code)
        self._names |= used.names
        read = {name: around[name] for name in used.globals if name in around} | held
        for name, level in used.imports:
            read[f"import {level} {name}"] = imported(name, level, around.get("__package__"))
        texts = [f"{name}={self._read(read[name], used.names)}" for name in sorted(read.keys() - used.kept)]
        return f"{self._node('function', code, *parts, vars(function))}[{','.join(texts)}]"

    def _read(self, value: Any, names: frozenset[str], within: tuple[Any, ...] = ()) -> str:
        """What code reads: of a module of the user's, what stands in it under the names in the code."""
        if not isinstance(value, types.ModuleType) or not is_own(value.__name__) or value in within:
            return self._at_first(value, names)
        there = sorted(names & vars(value).keys())
        texts = [f"{name}={self._read(vars(value)[name], names, (*within, value))}" for name in there]
        return f"module({value.__name__},{','.join(texts)})"

    def _code(self, code: types.CodeType) -> str:
        counts = code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
        names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        return self._node("code", code.co_code, code.co_exceptiontable, code.co_consts, *names, *counts)

    def _object(self, value: Any) -> str:
        """Anything else, by what would make it again."""
        pandas = sys.modules.get("pandas")
        if pandas and isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index):
            table = value if value.ndim == 2 else value.to_frame()
            return self._node("table", type(value), table.to_dict("split"), [str(kind) for kind in table.dtypes])
        torch = sys.modules.get("torch")
        if torch and isinstance(value, torch.Tensor):
            numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            return self._node("tensor", str(value.dtype), tuple(value.shape), numbers)
        module = type(value).__module__.partition(".")[0]
        if module in _AT_WORK:
            return self.address(value)
        if module in ("weakref", "_weakref"):
            return "weak"  # it holds nothing
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            made = reduce(value) if reduce else value.__reduce_ex__(4)
            make, given, *rest = (None, made) if isinstance(made, str) else made
            state, items, pairs = [*rest, None, None, None][:3]
            items, pairs = list(items or ()), dict(pairs or ())
        except Exception:
            return self.address(value)
        if make is None:  # it is known by its name; a function that caches, by what is behind it
            return self._node("named", getattr(value, "__module__", None), given, getattr(value, "__wrapped__", None))
        if isinstance(state, dict):
            state = _without(state, _cached(type(value))) or None
        return self._node("object", type(value), make, given, state, items, pairs)


def _short(text: str) -> str:
    if len(text) < 100:
        return text
    return f"#{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _cached(kind: type) -> set[str]:
    """Attributes that an object works out once, when it is asked for them."""
    return {
        name for name, member in inspect.getmembers_static(kind, lambda m: isinstance(m, functools.cached_property))
    }


def _without(attributes: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in names}


def _as_saved(value: Any) -> Any:
    """A demonstration's field as `save` writes it and `load` gives it back."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {name: _as_saved(item) for name, item in value.items()}
    return [_as_saved(item) for item in value] if isinstance(value, list | tuple) else value

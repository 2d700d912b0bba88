"""Identity of a function: a hash of all that its answers go by, as far as it can be read from the outside.

Embeddings are kept by the identity of what made them. Of a checkpoint that is the hash of its files; of a function it
is that of its source, and of what the source names:

    functions and classes of the same module     their source, and what that names
    numbers, text, tuples, dictionaries          their values
    arrays; anything with a `state_dict`         their shapes and numbers
    anything else, modules too                   its name alone

What the last line leaves out (a file that is read, a model behind another library) is said by a version, which the
author counts up. A comment or a changed title changes nothing that is hashed beyond the text of the functions.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mess_core.errors import InputError

PLAIN = (bool, int, float, complex, str, bytes, type(None))


def identity_of(function: Callable[..., Any], version: str = "") -> str:
    """Sha256 of a function, of what it names, and of a version.

    Raises
    ------
    InputError
        If it is no function, or its source cannot be read (it was typed into a shell) and there is no version.
    """
    if not inspect.isfunction(function):
        raise InputError(f"An encoder is a function, got a {type(function).__name__}.", "Put it into a function.")
    digest = hashlib.sha256(version.encode())
    try:
        for name, content in sorted(_reached(function).items()):
            digest.update(f"{name}\0".encode() + content + b"\0")
    except OSError as error:
        if not version:
            raise InputError(
                f"The source of {function.__name__} cannot be read, so nobody could tell when it changes.",
                "Write it into a file or a notebook, or give version=… and count it up with every change.",
            ) from error
    return digest.hexdigest()


def _reached(function: types.FunctionType) -> dict[str, bytes]:
    """Name -> content, of a function and of all that it names, and what that names."""
    found: dict[str, bytes] = {}
    left: list[Any] = [function]
    while left:
        each = left.pop()
        name = each.__qualname__
        if name in found:
            continue
        if isinstance(each, type):
            found[name] = repr([base.__qualname__ for base in each.__mro__]).encode()
        else:
            found[name] = _source(each).encode()
        for named, value in _members(each) if isinstance(each, type) else _named_by(each):
            if isinstance(value, types.FunctionType | type) and value.__module__ == function.__module__:
                left.append(value)
            else:
                found[f"{name}: {named}"] = _content(value)
    return found


def _source(each: types.FunctionType) -> str:
    """From `def` on: what a decorator is given is no part of what is computed."""
    text = textwrap.dedent(inspect.getsource(each))
    try:
        (node,) = ast.parse(text).body
    except (SyntaxError, ValueError):  # a lambda amid a line
        return text
    start = node.lineno - 1 if isinstance(node, ast.FunctionDef) else 0
    return "\n".join(line.rstrip() for line in text.splitlines()[start:])


def _members(of: type) -> Iterator[tuple[str, Any]]:
    """What a class has, by name: its functions, and what else was written in it; classes before it, likewise.

    Not by its source: that of a class in a notebook cannot be read.
    """
    for base in of.__mro__:
        if base.__module__ == of.__module__:
            for name, value in vars(base).items():
                inner = inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)) or value)
                if isinstance(inner, types.FunctionType | type) or not name.startswith("__"):
                    yield f"{base.__qualname__}.{name}", inner


def _named_by(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function takes from around it: names of its module, of the function around it, and its defaults."""
    names: set[str] = set()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    for name in sorted(names & function.__globals__.keys()):
        yield name, function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not filled yet: it is the function itself
            continue
    for number, value in enumerate((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())):
        yield f"default {number}", value


def _content(value: Any) -> bytes:
    """What is hashed of a value."""
    if isinstance(value, PLAIN):
        return repr(value).encode()
    if isinstance(value, tuple | list):
        return b"(" + b",".join(_content(each) for each in value) + b")"
    if isinstance(value, set | frozenset):
        return b"{" + b",".join(sorted(_content(each) for each in value)) + b"}"
    if isinstance(value, dict):
        return b"{" + b",".join(sorted(_content(name) + b":" + _content(each) for name, each in value.items())) + b"}"
    if isinstance(value, types.ModuleType | type):
        return value.__name__.encode()
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value)
        return f"{data.dtype.str}{data.shape}".encode() + hashlib.sha256(data.tobytes()).digest()
    if callable(getattr(value, "state_dict", None)):
        return type(value).__qualname__.encode() + _content(dict(value.state_dict()))
    return str(getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__qualname__)).encode()

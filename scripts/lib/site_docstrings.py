"""An extension of griffe, which reads the package for the site: docstrings as Markdown, settings with their help text."""

from __future__ import annotations

import ast
from typing import Any

from griffe import Attribute, Class, ExprCall, Extension, Object

from scripts.lib.docstring import as_markdown


class ReadableDocstrings(Extension):
    """Objects are changed when they have been read, before griffe makes the `__init__` of dataclasses of them."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """`obj` has been read, but for its members."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)

    def on_class_members(self, *, node: ast.ClassDef, cls: Class, **_: Any) -> None:
        """`setting(default, help text)` becomes the default of the field, and the help text a line of the class's docstring."""
        lines = []
        for statement in node.body:
            match statement:
                case ast.AnnAssign(ast.Name(name), _, ast.Call(ast.Name("setting"), [_, ast.Constant(str(text)), *_])):
                    field = cls.members[name]
                    assert isinstance(field, Attribute) and isinstance(field.value, ExprCall)
                    field.value = field.value.arguments[0]
                    lines.append(f"\n- `{name}`: {text}")
        if lines and cls.docstring is not None:
            cls.docstring.value += "\n" + "".join(lines)

"""Constraints on what a language model answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ctypes import byref, c_void_p
from typing import Any

from headlane import _abi
from headlane._checked import utf8
from headlane._library import Handle, check, lib
from headlane._model import Model, address_of

Schema = str | Mapping[str, Any] | bool


class Constraint:
    """What answers must be like: JSON of a schema, or what a regular expression fits as a whole. LanguageModel.constraint
    makes it, for any number of answers at once; what comes up in one is kept for the others."""

    def __init__(self, model: Model, schema: Schema | None, regex: str | None) -> None:
        if (schema is None) == (regex is None):
            raise ValueError("a constraint takes one of schema and regex")
        options, out = _abi.headlane_constraint_options(), c_void_p()
        text = utf8("regex", regex) if regex is not None else utf8("schema", _json_of(schema))
        if regex is not None:
            options.regex, options.regex_bytes = address_of(text), len(text)
        else:
            options.schema, options.schema_bytes = address_of(text), len(text)
        with model.hold() as address:
            check(lib.headlane_constraint_create(address, byref(options), byref(out)))
        self._handle = Handle(out.value or 0, lib.headlane_constraint_destroy)

    @property
    def _address(self) -> int:
        return self._handle.address


def _json_of(schema: Schema | None) -> str:
    return schema if isinstance(schema, str) else json.dumps(schema, ensure_ascii=False)


def constraint_of(
    model: Model, constraint: Constraint | None, schema: Schema | None, regex: str | None
) -> Constraint | None:
    """The one that is given, or the one that is to be made; None: there is none."""
    if sum(given is not None for given in (constraint, schema, regex)) > 1:
        raise ValueError("an answer obeys one of constraint, schema and regex")
    if schema is None and regex is None:
        return constraint
    return Constraint(model, schema, regex)

"""An OpenFeature provider: the same flags through the vendor-neutral SDK.

    from openfeature import api
    from ioprofiler.openfeature import IoprofilerProvider

    api.set_provider(IoprofilerProvider(profiler))
    api.get_client().get_boolean_value("new_search", False)

Without a targeting key or attributes a flag is decided for the current request, and is in its
profile and log line. With them it is decided about that user: the targeting key is the user,
`visitor` and `groups` are what they say, all else is an attribute. A boolean is whether the flag is
on, a string its variant; numbers and objects are the data of its variant.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata

from ioprofiler import _native

if TYPE_CHECKING:
    from ioprofiler._profiler import Profiler

_REASONS = {
    "killed": Reason.DISABLED,
    "shed": Reason.DISABLED,
    "override": Reason.TARGETING_MATCH,
    "user": Reason.TARGETING_MATCH,
    "group": Reason.TARGETING_MATCH,
    "percent": Reason.SPLIT,
    "on": Reason.STATIC,
    "off": Reason.STATIC,
    "dark": Reason.SPLIT,
    "no_unit": Reason.DEFAULT,
}


#: User, visitor, groups and attributes that say nothing: the current request's own.
_CURRENT: tuple[Any, Any, list[Any], Any] = (None, None, [], None)


def _who(context: EvaluationContext | None) -> tuple[Any, Any, list[Any], Any]:
    """Whom an evaluation is about: user, visitor, groups, attributes."""
    if context is None or (context.targeting_key is None and not context.attributes):
        return _CURRENT
    attributes = dict(context.attributes)
    visitor, groups = attributes.pop("visitor", None), attributes.pop("groups", ())
    groups = list(groups) if isinstance(groups, (list, tuple, set)) else [groups]
    return context.targeting_key, visitor, groups, attributes or None


class IoprofilerProvider(AbstractProvider):
    """See the module."""

    def __init__(self, profiler: Profiler | None = None) -> None:
        self._native = None if profiler is None else profiler._native

    def get_metadata(self) -> Metadata:
        return Metadata(name="ioprofiler")

    def get_provider_hooks(self) -> list[Any]:
        return []

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        told = self._decide(flag_key, default_value, evaluation_context)
        return _details(told, default_value, told[0] == "on")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        told = self._decide(flag_key, False, evaluation_context)
        return _details(told, default_value, told[1])

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._data(flag_key, default_value, evaluation_context, int)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        return self._data(flag_key, default_value, evaluation_context, (int, float))

    def resolve_object_details(
        self, flag_key: str, default_value: Any, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Any]:
        return self._data(flag_key, default_value, evaluation_context, (dict, list))

    def _decide(self, name: str, default: bool, context: EvaluationContext | None) -> tuple[str, str, str, str | None]:
        here, who = self._native is None or _native.in_request(), _who(context)
        if here and who is _CURRENT:
            return _native.decide_flag(name, default)
        return _native.decide_flag_for(name, default, *who) if here else self._native.decide(name, default, *who)  # type: ignore[union-attr]

    def _data_of(self, name: str, context: EvaluationContext | None) -> str | None:
        here, who = self._native is None or _native.in_request(), _who(context)
        if here and who is _CURRENT:
            return _native.flag_data(name)
        return _native.flag_data_for(name, *who) if here else self._native.flag_data(name, *who)  # type: ignore[union-attr]

    def _data(
        self, name: str, default: Any, context: EvaluationContext | None, kind: Any
    ) -> FlagResolutionDetails[Any]:
        told = self._decide(name, False, context)
        if told[2] in ("not_found", "error"):
            return _details(told, default, default)
        data = self._data_of(name, context)
        value = default if data is None else json.loads(data)
        if data is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            return FlagResolutionDetails(
                value=default,
                variant=told[1],
                reason=Reason.ERROR,
                error_code=ErrorCode.TYPE_MISMATCH,
                error_message=f"the data of {name}'s variant {told[1]} is no {kind}",
            )
        return _details(told, default, value)


def _details(told: tuple[str, str, str, str | None], default: Any, value: Any) -> FlagResolutionDetails[Any]:
    _state, variant, reason, _group = told
    if reason == "not_found":
        return FlagResolutionDetails(value=default, reason=Reason.ERROR, error_code=ErrorCode.FLAG_NOT_FOUND)
    if reason == "error":
        return FlagResolutionDetails(value=default, reason=Reason.ERROR, error_code=ErrorCode.GENERAL)
    return FlagResolutionDetails(value=value, variant=variant, reason=_REASONS.get(reason, Reason.UNKNOWN))

"""API Gateway's stage cache: ministack stores its settings, but does not implement it.

As on AWS it stands behind the authorizer and before the function, keeps whatever a function
answered, heeds no Cache-Control, and knows of a request only what the definition declares as cache
keys (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-caching.html): so a
key that is missing there shows here.
"""

import time
from typing import Any

from ministack.services import apigateway_v1 as gateway

Answer = tuple[int, dict[str, Any], bytes]
_Key = tuple[str, ...]

_kept: dict[_Key, tuple[float, Answer]] = {}


def patch_ministack() -> None:
    """Patch ministack in this process."""
    invoke = gateway._invoke_lambda_proxy_v1

    async def invoke_unless_kept(
        integration: dict[str, Any], api_id: str, stage_name: str, stage: dict[str, Any], resource: dict[str, Any],
        path: str, method: str, headers: Any, body: bytes, query: Any, path_parameters: dict[str, str], **named: Any,
    ) -> Answer:  # fmt: skip
        settings = (stage.get("methodSettings") or {}).get(f"{resource['path']}/{method}", {})
        on = stage.get("cacheClusterEnabled") and settings.get("cachingEnabled") and method == "GET"
        sources = {"querystring": query or {}, "header": headers, "path": path_parameters}
        key = (api_id, stage_name, resource["path"], *_values(integration.get("cacheKeyParameters") or [], sources))
        until, response = _kept.get(key, (0.0, None))
        if on and response is not None and time.monotonic() < until:
            return response
        new: Answer = await invoke(
            integration, api_id, stage_name, stage, resource, path, method, headers, body, query, path_parameters,
            **named,
        )  # fmt: skip
        if on:
            for old in [old for old, (end, _) in _kept.items() if end < time.monotonic()]:
                del _kept[old]
            _kept[key] = time.monotonic() + int(settings["cacheTtlInSeconds"]), new
        return new

    gateway._invoke_lambda_proxy_v1 = invoke_unless_kept


def flush(api_id: str, stage: str) -> Answer:
    """FlushStageCache."""
    for key in [key for key in _kept if key[:2] == (api_id, stage)]:
        del _kept[key]
    return 202, {}, b""


def _values(parameters: list[str], sources: dict[str, Any]) -> list[str]:
    """Return the values of a request for ``method.request.<source>.<name>``; absent differs from empty."""
    found = []
    for parameter in parameters:
        _, _, source, name = parameter.split(".", 3)
        if source == "header":  # header names ignore case
            values = {key.lower(): value for key, value in sources[source].items()}
            value = values.get(name.lower())
        else:
            value = sources[source].get(name)
        found.append(repr(value[-1] if isinstance(value, list) else value))
    return found

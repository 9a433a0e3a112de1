"""Parsing and validation of a request's body and query."""

from typing import Any

from chalice.app import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chalicelib.core.errors import FieldError, InvalidInput, PayloadTooLarge, UnsupportedMediaType

MAX_BODY_BYTES = 2 * 1024 * 1024


def parse_body(model: type[BaseModel] | None, request: Request) -> Any:
    """Return the validated JSON body, or None if the endpoint has no body.

    Raises:
        UnsupportedMediaType: The body is not application/json.
        PayloadTooLarge: The body has more than MAX_BODY_BYTES bytes.
        InvalidInput: The body is not JSON, or violates the model.
    """
    if model is None:
        return None
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(f"The body must be application/json, not {media_type}.")
    raw = request.raw_body or b""
    if len(raw) > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    if not raw.strip():
        raise InvalidInput("The body is empty.")
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _invalid_input(error) from error


def parse_query(model: type[BaseModel] | None, request: Request) -> Any:
    """Return the validated query parameters, or None if the endpoint has none.

    Raises:
        InvalidInput: A parameter violates the model.
    """
    if model is None:
        return None
    parameters: Any = request.query_params or {}
    try:
        return model.model_validate({name: parameters[name] for name in parameters})
    except ValidationError as error:
        raise _invalid_input(error) from error


def _invalid_input(error: ValidationError) -> InvalidInput:
    violations = error.errors(include_url=False, include_context=False, include_input=False)
    for violation in violations:
        if violation["type"] == "json_invalid":  # its message names line and column
            return InvalidInput(_sentence(violation["msg"].replace("Invalid JSON", "The body is not JSON", 1)))
    if any(not violation["loc"] for violation in violations):
        return InvalidInput("The body must be a JSON object.")
    fields = tuple(
        FieldError(".".join(str(part) for part in violation["loc"]), violation["type"], _message(violation))
        for violation in violations
    )
    return InvalidInput("The input is invalid.", fields)


def _message(violation: ErrorDetails) -> str:
    # pydantic's message is the regular expression.
    if violation["type"] == "string_pattern_mismatch":
        return "Input does not have the required format."
    return _sentence(violation["msg"])


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message if message.endswith(".") else message + "."

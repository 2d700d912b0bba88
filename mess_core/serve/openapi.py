"""OpenAPI: what the service can be asked, as a document (3.1) that other programs make clients of."""

from __future__ import annotations

from typing import Any

from mess_core import __version__
from mess_core.serve.endpoints import ENDPOINTS, Endpoint
from mess_core.serve.fields import Field
from mess_core.serve.receiving import JSON
from mess_core.serve.refusals import MEDIA_TYPE

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "what", "value", "expected", "cure"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what and cure, in one text"},
        "what": {"type": "string", "description": "what is wrong: the error of the command line"},
        "value": {"description": "what was received, where that is not in the sentence"},
        "expected": {"type": ["string", "null"], "description": "what would have been right, likewise"},
        "cure": {"type": "string", "description": "what to do about it: the hint of the command line"},
    },
}
OF_ALL = (401, 403, 405, 429, 500, 503)  # of an endpoint that is not open
OF_QUESTIONS = (400, 404, 408, 413, 415, 422)


def openapi() -> dict[str, Any]:
    """The document; the same whatever is in the data folder."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MESS",
            "version": __version__,
            "summary": "Which recordings are like this one, in what respect, and how sure are we?",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": {
            each.path: {method.lower(): _operation(each, method) for method in each.methods} for each in ENDPOINTS
        },
        "components": {
            "schemas": {"Problem": PROBLEM},
            "responses": {
                "Problem": {
                    "description": "Why it is not answered, and the cure.",
                    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, method: str) -> dict[str, Any]:
    is_question = endpoint.answers is not None
    statuses = (*OF_ALL, *(OF_QUESTIONS if is_question else ())) if not endpoint.is_open else (403, 405, 503)
    schema: dict[str, Any] = {"type": "string" if endpoint.media_type.startswith("text/") else "object"}
    if endpoint.keys:
        schema["required"] = list(endpoint.keys)
    operation: dict[str, Any] = {
        "operationId": endpoint.name if method == endpoint.methods[0] else f"{endpoint.name}_{method.lower()}",
        "summary": endpoint.words,
        "responses": {
            "200": {"description": endpoint.words, "content": {endpoint.media_type: {"schema": schema}}},
            **{str(status): {"$ref": "#/components/responses/Problem"} for status in sorted(statuses)},
        },
    }
    if endpoint.is_open:
        operation["security"] = []
    if endpoint.fields:
        operation["parameters"] = [_parameter(field) for field in endpoint.fields]
    if is_question and method == "POST":
        operation["requestBody"] = {"required": endpoint.needs_file, "content": _contents(endpoint)}
    return operation


def _parameter(field: Field) -> dict[str, Any]:
    schema = field.schema
    if field.kind == "weights":  # as they are written there
        schema = {"type": "string", "examples": ["brightness=0.7,tempo"]}
    return {"name": field.name, "in": "query", "description": field.words, "schema": schema}


def _contents(endpoint: Endpoint) -> dict[str, Any]:
    contents: dict[str, Any] = {}
    if not endpoint.needs_file:
        properties = {field.name: {**field.schema, "description": field.words} for field in endpoint.fields}
        contents[JSON] = {"schema": {"type": "object", "additionalProperties": False, "properties": properties}}
    if endpoint.takes_file:
        contents["audio/*"] = contents["application/octet-stream"] = {"schema": {}}
    return contents

"""The reference descriptions in docs/ as validators: of frames, calls, answers and backend events.

Compiled once each, at first use; validating a frame takes microseconds.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import yaml

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
FILES = ("openapi.yaml", "asyncapi.yaml", "schemas.yaml")
BASE = "json-schema:///"
JSON = "application/json"
Steps = tuple[str | int, ...]


@functools.cache
def description(name: str) -> Any:
    """One of FILES, parsed."""
    with (DOCS / name).open("rb") as file:
        return yaml.load(file, yaml.CSafeLoader)


@functools.cache
def _registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([(BASE + name, _anonymous(name)) for name in FILES])


def _anonymous(name: str) -> Any:
    """Without the `$id`: each file is known by where it lies."""
    return {key: value for key, value in description(name).items() if key != "$id"}


@functools.cache
def validator(reference: str) -> jsonschema_rs.Draft202012Validator:
    """Of what `file#/pointer` describes."""
    schema = {"$ref": BASE + reference}
    return jsonschema_rs.Draft202012Validator(schema, registry=_registry())


def problem(reference: str, value: Any) -> str | None:
    """Why `value` is not what `file#/pointer` describes; None: it is."""
    error = next(validator(reference).iter_errors(value), None)
    return error and f"{reference}: at /{'/'.join(map(str, error.instance_path))}: {error.message}"


def lookup(name: str, part: Any) -> tuple[str, Any]:
    """The reference that `part` of a file stands at, and what is there, where it is a `$ref`."""
    reference = part["$ref"]
    file, _, pointer = reference.partition("#")
    found = description(file or name)
    for step in pointer.split("/")[1:]:
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return f"{file or name}#{pointer}", found


def properties(found: str, schema: Any, path: Steps = ()) -> set[Steps]:
    """The properties of a schema, at any depth; `found` is where it stands: `file#/pointer`."""
    file = found.partition("#")[0]
    if "$ref" in schema:
        return properties(*lookup(file, schema), path)
    inner = {name: (*path, name) for name in schema.get("properties", {})}
    fields = set(inner.values())
    for part in (schema.get(word) for word in ("if", "then", "else")):
        fields |= properties(file, part, path) if part else set()
    for part in schema.get("allOf", ()):
        fields |= properties(file, part, path)
    for name, place in inner.items():
        fields |= properties(file, schema["properties"][name], place)
    return fields


# --- frames and backend events ------------------------------------------------------------------

PUBLISHED = {"askOnConnection": "publish", "tellOnConnection": "message"}  # any other event


@functools.cache
def messages(operation: str) -> dict[str, str]:
    """The name of each message of an operation of asyncapi.yaml, and where its payload is."""
    listed = description("asyncapi.yaml")["operations"][operation]["messages"]
    found = {}
    for part in listed:
        _, of_channel = lookup("asyncapi.yaml", part)
        _, message = lookup("asyncapi.yaml", of_channel)
        found[message["name"]] = lookup("asyncapi.yaml", message["payload"])[0]
    return found


def sent_problem(frame: dict[str, Any]) -> str | None:
    """Why a client's frame is not well formed."""
    event = frame.get("event")
    known = messages("askOnConnection")
    name = event if isinstance(event, str) and event.startswith("hotsock.") else "publish"
    return problem(known[name], frame) if name in known else f"There is no event {name}."


def check_frame(frame: dict[str, Any]) -> None:
    """Fails where the server may not send this frame."""
    event = str(frame.get("event"))
    name = event if event.startswith("hotsock.") else "message"
    known = messages("tellOnConnection")
    assert name in known, f"asyncapi.yaml describes no {event}: {frame}"
    wrong = problem(known[name], frame)
    assert wrong is None, f"{wrong}: {frame}"


def check_report(body: dict[str, Any], headers: dict[str, str]) -> None:
    """Fails where the application's backend may not be told this."""
    known = messages("report")
    assert body.get("dataType") in known, f"asyncapi.yaml describes no such event: {body}"
    wrong = problem("asyncapi.yaml#/components/schemas/WebhookHeaders", headers)
    wrong = wrong or problem(known[body["dataType"]], body)
    assert wrong is None, f"{wrong}: {body}"


# --- calls and answers --------------------------------------------------------------------------


@functools.cache
def paths() -> list[tuple[re.Pattern[str], str]]:
    """A pattern for each path of openapi.yaml, the longest first; a parameter may hold slashes."""
    known = sorted(description("openapi.yaml")["paths"], key=len, reverse=True)
    return [(re.compile(re.sub(r"\\{\w+\\}", ".*", re.escape(path))), path) for path in known]


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """What openapi.yaml says of a call; `path` is percent-encoded and has no query."""
    for pattern, template in paths():
        methods = description("openapi.yaml")["paths"][template]
        if method.lower() in methods and pattern.fullmatch(path):
            return {**methods[method.lower()], "at": f"{_escaped(template)}/{method.lower()}"}
    return None


def _escaped(path: str) -> str:
    return f"openapi.yaml#/paths/{_token(path)}"


def schema_of(operation: dict[str, Any], status: int) -> str | None:
    """Where the body of an answer is described; None where it has none."""
    responses = operation["responses"]
    assert str(status) in responses, f"openapi.yaml describes no {status} of {operation['at']}"
    where, found = f"{operation['at']}/responses/{status}", responses[str(status)]
    if "$ref" in found:
        where, found = lookup("openapi.yaml", found)
    if JSON not in found.get("content", {}):
        return None
    return f"{where}/content/{_token(JSON)}/schema"


def _token(name: str) -> str:
    """A step of a JSON pointer within a URI."""
    return quote(name.replace("~", "~0").replace("/", "~1"))


def check_answer(method: str, path: str, status: int, body: Any) -> None:
    """Fails where the server may not answer this call so."""
    operation = operation_of("GET" if method == "HEAD" else method, path)
    if operation is None:
        refused = status in (400, 404, 405)
        assert refused or method == "OPTIONS", f"{method} {path} is not described"
        return
    reference = schema_of(operation, status)
    wrong = problem(reference, body) if reference and method != "HEAD" else None
    assert wrong is None, f"{operation['at']}: {wrong}: {body}"


def check_call(method: str, path: str, body: Any) -> None:
    """Fails where this body, which the server took, is not one that it describes."""
    operation = operation_of(method, path)
    if operation is None or "requestBody" not in operation:
        return
    where = f"{operation['at']}/requestBody/content/{_token(JSON)}/schema"
    wrong = problem(where, body)
    assert wrong is None, f"{operation['at']} took what is not described: {wrong}: {body}"

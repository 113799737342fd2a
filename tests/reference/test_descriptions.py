"""docs/openapi.yaml, docs/asyncapi.yaml and docs/schemas.yaml are valid themselves."""

from collections.abc import Iterable, Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.described import BASE, DOCS, FILES, description, lookup, messages, validator

Part = tuple[str, Any]
"""The JSON pointer of a part of a file, and the part."""


def parts(value: Any, pointer: str = "") -> Iterator[Part]:
    """A value and all that is in it."""
    yield pointer, value
    for key, inner in _items(value):
        step = str(key).replace("~", "~0").replace("/", "~1")
        yield from parts(inner, f"{pointer}/{step}")


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def named_schemas(name: str) -> dict[str, Any]:
    whole = description(name)
    named: dict[str, Any] = whole.get("$defs") or whole["components"]["schemas"]
    return named


def schemas(name: str) -> Iterator[Part]:
    """Where schemas begin in a file; what is within one is its own affair."""
    yield from named_schemas(name).items()
    for pointer, part in parts(description(name)):
        if pointer.endswith(("/schema", "/payload")):
            yield pointer, part


def keywords(name: str) -> Iterator[Part]:
    """Each schema's own and inner parts."""
    for pointer, schema in schemas(name):
        yield from parts(schema, pointer)


def test_openapi_is_valid() -> None:
    uri = (DOCS / "openapi.yaml").as_uri()
    OpenAPIV31SpecValidator(description("openapi.yaml"), base_uri=uri).validate()


@pytest.mark.parametrize("name", FILES)
def test_every_reference_leads_somewhere(name: str) -> None:
    references = [part for _, part in parts(description(name)) if _is_reference(part)]
    assert references
    for part in references:
        lookup(name, part)


def _is_reference(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("$ref"), str)


@pytest.mark.parametrize("name", FILES)
def test_every_schema_is_json_schema(name: str) -> None:
    for pointer, schema in schemas(name):
        jsonschema_rs.meta.validate({"$schema": DRAFT, **schema})
        assert "$schema" not in schema, pointer


DRAFT = "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", FILES)
def test_every_schema_uses_known_keywords(name: str) -> None:
    """A misspelt keyword is valid JSON Schema and checks nothing."""
    for pointer, part in keywords(name):
        if isinstance(part, dict) and pointer.rpartition("/")[2] not in MAPS:
            unknown = part.keys() - KEYWORDS
            assert not unknown, f"{pointer}: {unknown}"


MAPS = {"properties", "const"}
KEYWORDS = {
    *("$ref", "description", "type", "enum", "const", "examples", "format"),
    *("minLength", "maxLength", "pattern", "minimum", "maximum"),
    *("required", "properties", "additionalProperties", "propertyNames"),
    *("items", "minItems", "maxItems", "allOf", "anyOf", "not", "if", "then", "else"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_required_is_described(name: str) -> None:
    for pointer, part in keywords(name):
        if isinstance(part, dict) and part.get("additionalProperties") is False:
            assert set(part.get("required", ())) <= set(part.get("properties", ())), pointer


@pytest.mark.parametrize("name", FILES)
def test_every_named_schema_has_one_plain_sentence(name: str) -> None:
    for title, schema in named_schemas(name).items():
        assert schema["description"].rstrip().endswith("."), title


@pytest.mark.parametrize("name", FILES)
def test_no_named_schema_is_left_over(name: str) -> None:
    used = {
        lookup(file, part)[0]
        for file in FILES
        for _, part in parts(description(file))
        if _is_reference(part)
    }
    where = "$defs" if name == "schemas.yaml" else "components/schemas"
    assert {f"{name}#/{where}/{title}" for title in named_schemas(name)} <= used


# --- AsyncAPI 3.0 -------------------------------------------------------------------------------


ASYNCAPI = description("asyncapi.yaml")


def test_asyncapi_has_the_parts_of_its_version() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert ASYNCAPI.keys() == {
        *("asyncapi", "id", "info", "defaultContentType"),
        *("servers", "channels", "operations", "components"),
    }
    assert {"title", "version"} <= ASYNCAPI["info"].keys()


@pytest.mark.parametrize("name", ASYNCAPI["channels"])
def test_every_channel_has_messages_and_a_server(name: str) -> None:
    channel = ASYNCAPI["channels"][name]
    assert channel.keys() <= {
        *("address", "title", "description", "servers", "messages", "bindings")
    }
    assert all(part["$ref"].startswith("#/servers/") for part in channel["servers"])
    assert channel["messages"]
    for part in channel["messages"].values():
        assert part["$ref"].startswith("#/components/messages/")


@pytest.mark.parametrize("name", ASYNCAPI["operations"])
def test_every_operation_has_a_channel_and_messages_of_it(name: str) -> None:
    operation = ASYNCAPI["operations"][name]
    assert operation.keys() == {"action", "channel", "summary", "messages"}
    assert operation["action"] in ("send", "receive")
    channel = operation["channel"]["$ref"]
    assert channel.startswith("#/channels/")
    assert operation["messages"]
    for part in operation["messages"]:
        assert part["$ref"].startswith(f"{channel}/messages/")


def test_every_message_has_a_name_a_sentence_and_a_payload() -> None:
    for message in ASYNCAPI["components"]["messages"].values():
        assert message.keys() <= {"name", "summary", "headers", "payload"}
        assert message["summary"].endswith(".")
        assert message["payload"]["$ref"]


def test_every_message_of_a_channel_is_in_one_operation() -> None:
    listed = [
        part["$ref"]
        for operation in ASYNCAPI["operations"].values()
        for part in operation["messages"]
    ]
    assert sorted(listed) == sorted(
        f"#/channels/{name}/messages/{message}"
        for name, channel in ASYNCAPI["channels"].items()
        for message in channel["messages"]
    )
    assert len(ASYNCAPI["components"]["messages"]) == len(listed)


@pytest.mark.parametrize("operation", ["tellOnConnection", "report"])
def test_what_the_server_sends_is_closed(operation: str) -> None:
    """A field that nobody described is refused, at the top and in `data` where it is the server's
    own."""
    for name, payload in messages(operation).items():
        errors = validator(payload).iter_errors({"surprise": 1})
        assert any("surprise" in error.message for error in errors), name


def test_schemas_are_known_by_where_they_lie() -> None:
    assert validator("schemas.yaml#/$defs/Meta").is_valid({"uid": None, "umd": None})
    assert BASE.endswith("/")

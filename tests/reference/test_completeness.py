"""The descriptions name all that the server and the contract name, and nothing else."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, get_resolver, resolve

from chat import urls, users
from chat.http import client_api
from chat.protocol import events
from chat.protocol.commands import DECODERS
from chat.protocol.errors import HTTP_STATUS, CloseCode, ErrorCode
from tests.support.described import DOCS, description, lookup, messages

OPENAPI, ASYNCAPI = description("openapi.yaml"), description("asyncapi.yaml")
PROTOCOL = (DOCS / "protocol.md").read_text(encoding="utf-8")
ERRORS = description("schemas.yaml")["$defs"]


def section(number: int) -> str:
    [text] = re.findall(rf"^## {number} .*?(?=^## |\Z)", PROTOCOL, re.MULTILINE | re.DOTALL)
    return str(text)


# --- frames -------------------------------------------------------------------------------------


def test_every_frame_that_a_client_may_send() -> None:
    assert messages("askOnConnection").keys() == DECODERS.keys() | {"publish"}


def test_every_frame_that_the_server_sends() -> None:
    with open(events.__file__, encoding="utf-8") as source:
        told = set(re.findall(r"\bhotsock\.\w+", source.read()))
    assert messages("tellOnConnection").keys() == told | {"message"}


def test_every_event_of_the_contract() -> None:
    text = PROTOCOL.partition("## 16")[0] + section(17)
    named = set(re.findall(r"\bhotsock\.[a-z]\w+", text)) - {"hotsock.v1"}
    assert named <= {*messages("askOnConnection"), *messages("tellOnConnection")}


# --- backend events -----------------------------------------------------------------------------


def described_reports() -> dict[str, set[str]]:
    """The types of each dataType."""
    found = {}
    for name, reference in messages("report").items():
        _, schema = lookup("asyncapi.yaml", {"$ref": reference})
        type = schema["allOf"][1]["properties"]["type"]
        found[name] = {*type.get("enum", [type.get("const")])}
    return found


def table_of_reports() -> Iterator[tuple[str, set[str], set[str]]]:
    """The lines of the contract's table: dataType, types and the names within data."""
    for line in section(16).splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("| `"):
            types = re.sub(r"\(.*?\)", "", cells[1])
            fields = set(re.findall(r"`(\w+)`", cells[3]))
            yield cells[2], {f"hotsock.{name}" for name in re.findall(r"`(\w+)`", types)}, fields


def test_every_backend_event_of_the_contract() -> None:
    assert described_reports() == {name: types for name, types, _ in table_of_reports()}


def test_every_field_of_a_backend_event() -> None:
    for name, _, fields in table_of_reports():
        _, schema = lookup("asyncapi.yaml", {"$ref": messages("report")[name]})
        assert schema["allOf"][1]["properties"]["data"]["properties"].keys() == fields


# --- HTTP ---------------------------------------------------------------------------------------


def test_every_operation_of_the_client_api() -> None:
    prefix = "/connection/"
    paths = {path for path in OPENAPI["paths"] if path.startswith(prefix)}
    assert paths == {prefix + name for name in client_api.OPERATIONS}
    for path in paths:
        assert OPENAPI["paths"][path]["post"]["operationId"] == path.removeprefix(prefix)


def test_every_address_of_the_server() -> None:
    described = {resolve(re.sub(r"\{\w+\}", "x", path)).func for path in OPENAPI["paths"]}
    assert described == views() - {urls.websocket, users.token}


def views() -> set[Any]:
    """All but the admin's."""

    def below(patterns: list[Any]) -> Iterator[Any]:
        for each in patterns:
            if isinstance(each, URLPattern):
                yield each.callback
            elif each.app_name != "admin":
                yield from below(each.url_patterns)

    return set(below(get_resolver().url_patterns))


# --- errors -------------------------------------------------------------------------------------


def test_every_error_code() -> None:
    told, over_http = ERRORS["SocketErrorCode"]["enum"], ERRORS["HttpErrorCode"]["enum"]
    assert [*told, *over_http] == list(ErrorCode)


def test_every_error_code_of_the_contract() -> None:
    codes = re.findall(r"\b[A-Z]{2,}_[A-Z_]+\b", section(17))
    assert set(codes) == set(ErrorCode)


def test_every_close_code() -> None:
    codes = {code for name, code in vars(CloseCode).items() if name.isupper()}
    assert {int(code) for code in ASYNCAPI["components"]["x-close-codes"]} == codes


def test_every_close_code_of_the_contract() -> None:
    codes = re.findall(r"\b(?:1\d{3}|4\d{3})\b", section(17).partition("Close codes:")[2])
    assert {*codes} - {"1006"} == {*ASYNCAPI["components"]["x-close-codes"]}


def refusals() -> Iterator[tuple[str, str, str]]:
    """Each operation with each status and each code that it may be refused with."""
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                found = lookup("openapi.yaml", response)[1] if "$ref" in response else response
                for code in _codes(found.get("content", {}).get("application/json")):
                    yield f"{method} {path}", status, code


def _codes(content: Any) -> list[str]:
    schema = content["schema"] if content else {}
    if "$ref" in schema:
        schema = lookup("openapi.yaml", schema)[1]
    for part in schema.get("allOf", ()):
        code = part.get("properties", {}).get("error", {}).get("properties", {}).get("code")
        if code:
            return list(code.get("enum", [code.get("const")]))
    return []


EXCEPTIONS = {  # which say what is not there with the code of a malformed call
    ("delete /bans/{id}", "404", "INVALID_REQUEST"),
    ("delete /schedules/{scheduleArn}", "404", "INVALID_REQUEST"),
    ("post /tokens", "404", "INVALID_REQUEST"),
    ("post /tokens", "413", "INVALID_REQUEST"),
}
TOO_SLOW = ["408", "INVALID_REQUEST"]  # whatever is called


@pytest.mark.parametrize("operation", sorted({operation for operation, _, _ in refusals()}))
def test_each_code_has_its_status(operation: str) -> None:
    described = {refusal for refusal in refusals() if refusal[0] == operation}
    for _, *refusal in described - EXCEPTIONS:
        if refusal != TOO_SLOW:
            status, code = refusal
            assert int(status) == HTTP_STATUS.get(ErrorCode(code), 403), code


def test_every_code_that_can_be_told_over_http_is_described() -> None:
    socket_only = {
        ErrorCode.SUBSCRIBE_PERMISSION_DENIED,
        ErrorCode.INVALID_SUBSCRIBE_TOKEN,
        ErrorCode.ALREADY_SUBSCRIBED,
        ErrorCode.PRESENCE_CHANNEL_USER_ID_REQUIRED,
    }
    assert {code for _, _, code in refusals()} == set(ErrorCode) - socket_only

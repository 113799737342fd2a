"""What schemathesis makes of a schema: always the same examples, so that a failure can be had
again."""

from collections.abc import Callable

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.schemas import BaseSchema

from tests.support.described import DOCS, messages, resolved

EXAMPLES = 15
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # each example is a call or two: to shrink one takes minutes
    suppress_health_check=list(HealthCheck),
)


def calls() -> dict[str, APIOperation]:
    """The operations of docs/openapi.yaml in which anything can be said wrongly."""
    return {
        name: operation
        for name, operation in _operations(schemathesis.openapi.from_path(DOCS / "openapi.yaml"))
        if list(operation.body) or list(operation.iter_parameters())
    }


def frames() -> dict[str, APIOperation]:
    """The frames of a client in docs/asyncapi.yaml, each as the body of an operation of its own."""
    paths = {}
    for name, reference in messages("askOnConnection").items():
        schema = resolved("asyncapi.yaml", {"$ref": reference})
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        operation = {"requestBody": body, "responses": {"200": {"description": ""}}}
        paths[f"/{name}"] = {"post": operation}
    info = {"title": "frames", "version": "1"}
    return dict(
        _operations(
            schemathesis.openapi.from_dict({"openapi": "3.1.0", "info": info, "paths": paths})
        )
    )


def _operations(schema: BaseSchema) -> list[tuple[str, APIOperation]]:
    return [(found.ok().label, found.ok()) for found in schema.get_all_operations()]


def examples(
    operation: APIOperation, mode: GenerationMode, test: Callable[[Case, bool], None]
) -> None:
    """Runs `test` with each, and with whether it is to be meant for the test's own channel."""

    @SETTINGS
    @given(case=operation.as_strategy(generation_mode=mode), here=st.booleans())
    def run(case: Case, here: bool) -> None:
        test(case, here)

    run()


def aim(case: Case, channel: str) -> None:
    """Means this channel, where the body names one."""
    if isinstance(case.body, dict) and isinstance(case.body.get("channel"), str):
        case.body["channel"] = channel

"""`POST /tokens`: the demo's Jim and Pam (protocol.md section 18). For the chat page alone."""

import re
import secrets
from http import HTTPStatus

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from tokens import strict_json
from tokens.api import issue
from tokens.conf import settings

LIFETIME_SECONDS = 300
MAX_BODY_BYTES = 16 * 1024
PEOPLE = ("jim", "pam")

_session_id = re.compile(r"(?!(?:undefined|null)\Z)[A-Za-z0-9_-]{1,64}").fullmatch

_MESSAGES = {
    "chat": {"publish": True, "echo": True, "store": 86400, "react": ["❤️", "👍", "👎", "😂"]},
    "hotsock.messageReaction": {"echo": True},
    "is-typing": {"publish": True},
}


class Refusal(Exception):
    """Why a request is refused: its HTTP status and one plain sentence."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@csrf_exempt  # a public call without cookies, from pages of any origin
async def tokens(request: HttpRequest) -> JsonResponse:
    """Tokens of both people for one session; the session id is the capability."""
    try:
        response = JsonResponse(_tokens(request))
    except Refusal as refusal:
        response = _error(refusal.status, str(refusal))
        if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED:
            response["Allow"] = "POST"
    response["Cache-Control"] = "no-store"
    return response


def _tokens(request: HttpRequest) -> dict[str, object]:
    if not settings.DEMO:
        raise Refusal(HTTPStatus.NOT_FOUND, "The demo is switched off on this server.")
    if request.method != "POST":
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Use POST.")
    body = _body(request)
    session, uid = _session(body.get("sessionId")), _person(body.get("uid"))
    issued = {person: _token(session, person) for person in PEOPLE}
    return {
        "sessionId": session,
        "channel": f"chat-{session}",
        **{person: {"token": token} for person, token in issued.items()},
        "token": issued[uid],
    }


def _body(request: HttpRequest) -> dict[str, object]:
    body = request.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        limit = f"The body must have at most {MAX_BODY_BYTES} bytes."
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, limit)
    try:
        document = strict_json.loads(body or b"{}")
    except strict_json.JsonError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"The body {error}.") from None
    if not isinstance(document, dict):
        raise Refusal(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
    return document


def _session(id: object) -> str:
    if id is not None and not isinstance(id, str):
        raise Refusal(HTTPStatus.BAD_REQUEST, "sessionId must be a string.")
    if id is not None and _session_id(id):
        return id
    return secrets.token_urlsafe(16)


def _person(uid: object) -> str:
    uid = PEOPLE[0] if uid is None else uid
    if uid not in PEOPLE:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"uid must be {' or '.join(PEOPLE)}.")
    return str(uid)


def _token(session: str, uid: str) -> str:
    channel = {"subscribe": True, "historyStart": 0, "messages": _MESSAGES}
    claims = {"scope": "connect", "uid": uid, "channels": {f"chat-{session}": channel}}
    try:
        return issue(claims, lifetime=LIFETIME_SECONDS)
    except ImproperlyConfigured:
        sentence = "No key is configured to sign tokens with: run `manage.py check --deploy`."
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, sentence) from None


def _error(status: HTTPStatus, message: str) -> JsonResponse:
    unavailable = status == HTTPStatus.SERVICE_UNAVAILABLE
    code = "SERVICE_UNAVAILABLE" if unavailable else "INVALID_REQUEST"
    error = {"code": code, "message": message}
    return JsonResponse({"error": error}, status=status)

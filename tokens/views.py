"""`POST /tokens`: tokens for the demo's two people, Jim and Pam (protocol.md section 18)."""

import re
import secrets
from collections.abc import Callable
from http import HTTPStatus

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page

from tokens import strict_json
from tokens.api import issue
from tokens.conf import settings
from tokens.strict_json import Json

LIFETIME_SECONDS = 300
MAX_BODY_BYTES = 16 * 1024
PEOPLE = ("jim", "pam")
CODES = {
    HTTPStatus.TOO_MANY_REQUESTS: "RATE_LIMITED",
    HTTPStatus.SERVICE_UNAVAILABLE: "SERVICE_UNAVAILABLE",
}
HEADERS = {
    HTTPStatus.METHOD_NOT_ALLOWED: {"Allow": "POST"},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": "60"},
}

_session_id = re.compile(r"(?!(?:undefined|null)\Z)[A-Za-z0-9_-]{1,64}").fullmatch

_MESSAGES = {
    "chat": {"publish": True, "echo": True, "store": 86400, "react": ["❤️", "👍", "👎", "😂"]},
    "hotsock.messageReaction": {"echo": True},
    "is-typing": {"publish": True},
}


type Admits = Callable[[HttpRequest, str], bool]


class Refusal(Exception):
    """Why a request is refused: its HTTP status and one plain sentence."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@csrf_exempt  # a public endpoint without cookies, for pages of any origin
@gzip_page  # whoever chooses something of the answer (BREACH) may have all of it
async def tokens(request: HttpRequest, admits: Admits) -> JsonResponse:
    """Tokens of both people for one session. Whoever knows the session id may have them, while
    `admits` says that who asks may have this session."""
    try:
        response = JsonResponse(_tokens(request, admits))
    except Refusal as refusal:
        response = _error(refusal)
    response["Cache-Control"] = "no-store"
    # JSON loads nothing, and the page's policy has 200 bytes.
    response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    return response


def _tokens(request: HttpRequest, admits: Admits) -> dict[str, object]:
    if not settings.DEMO:
        raise Refusal(HTTPStatus.NOT_FOUND, "The demo is switched off on this server.")
    if request.method != "POST":
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Use POST.")
    body = _body(request)
    session, uid = _session(body.get("sessionId")), _uid(body.get("uid"))
    if not admits(request, session):
        raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many sessions from this address.")
    issued = {person: _token(session, person) for person in PEOPLE}
    return {
        "sessionId": session,
        "channel": f"chat-{session}",
        **{person: {"token": token} for person, token in issued.items()},
        "token": issued[uid],
    }


def _body(request: HttpRequest) -> dict[str, Json]:
    raw = request.read(MAX_BODY_BYTES + 1)
    if len(raw) > MAX_BODY_BYTES:
        limit = f"The body must have at most {MAX_BODY_BYTES} bytes."
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, limit)
    try:
        body = strict_json.loads(raw or b"{}")
    except strict_json.JsonError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"The body {error}.") from None
    if not isinstance(body, dict):
        raise Refusal(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
    return body


def _session(requested: Json) -> str:
    """The requested session id; a new one where none or an invalid one is requested."""
    if requested is None:
        requested = ""
    if not isinstance(requested, str):
        raise Refusal(HTTPStatus.BAD_REQUEST, "sessionId must be a string.")
    return requested if _session_id(requested) else secrets.token_urlsafe(16)


def _uid(requested: Json) -> str:
    if requested is None:
        return PEOPLE[0]
    if not isinstance(requested, str) or requested not in PEOPLE:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"uid must be {' or '.join(PEOPLE)}.")
    return requested


def _token(session: str, uid: str) -> str:
    channel = {"subscribe": True, "historyStart": 0, "messages": _MESSAGES}
    claims = {"scope": "connect", "uid": uid, "channels": {f"chat-{session}": channel}}
    lifetime = min(LIFETIME_SECONDS, settings.TOKEN_MAX_SECONDS or LIFETIME_SECONDS)
    try:
        return issue(claims, lifetime=lifetime)
    except ImproperlyConfigured:
        sentence = "No key is configured to sign tokens with: run `manage.py check --deploy`."
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, sentence) from None


def _error(refusal: Refusal) -> JsonResponse:
    body = {
        "error": {"code": CODES.get(refusal.status, "INVALID_REQUEST"), "message": str(refusal)}
    }
    return JsonResponse(body, status=refusal.status, headers=HEADERS.get(refusal.status))

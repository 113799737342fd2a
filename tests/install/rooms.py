"""A project whose page has what docs/django-templates.md shows, under a strict policy, with users
of its own. `python -m tests.install.rooms` draws the picture of that page."""

import re
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.install.projects import Project, build, environment, started, with_chat
from tests.support.chromium import launching
from tests.support.servers import ROOT

PAGE = (ROOT / "docs/django-templates.md").read_text("utf-8")
PICTURE = ROOT / "docs/images/room.png"
STYLE = "/* shop/static/shop.css */"
USERS = ("jim", "pam", "eve", "ann")
SETTINGS = """
from django.utils.csp import CSP
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "connect-src": [CSP.SELF],
}
MIDDLEWARE += ["django.middleware.csp.ContentSecurityPolicyMiddleware"]
TEMPLATES[0]["DIRS"] = [BASE_DIR / "shop/templates"]
STATICFILES_DIRS = [BASE_DIR / "shop/static"]
CHAT = {"RULES": "shop.pages.rules", "USER_METADATA": "shop.pages.metadata"}
"""
PAGES = """
from django.core.exceptions import PermissionDenied
from django.shortcuts import render
from shop import live

ROOMS = {"order-42", "order-43", "presence.desk"}

def rules(request):
    if request.user.username == "eve":
        raise PermissionDenied
    if request.user.username == "ann":
        return {"order-42": {"subscribe": True, "historyStart": 0}}
    return live.rules(request) | {name: live.WINDOW for name in ROOMS}

def metadata(user):
    face = {"avatar": "/static/pam.svg"} if user.username == "pam" else {}
    return live.metadata(user) | face

def page(request, template):
    return render(request, template + ".html")
"""
# Jim and Pam are superusers: they have the permission that the documented rules ask for.
SESSIONS = """
from django.contrib.auth import get_user_model
from django.test import Client
for name in {users}:
    client, more = Client(), {{"is_superuser": True}} if name in ("jim", "pam") else {{}}
    user = get_user_model().objects.create_user(name, first_name=name.title(), **more)
    client.force_login(user)
    print("session", name, client.session.session_key)
"""
HEAD = """{% load chat static %}<!doctype html><html lang="en"><head><title>Rooms</title>
<link rel="stylesheet" href="{% static 'page.css' %}">{% chat_scripts %}{% chat_scripts %}
</head><body><main><h1>Rooms</h1>"""
TWO = f"""{HEAD}{{% chat_room "order-42" %}}{{% chat_room "presence.desk" label="Desk" %}}</main>"""
FACE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36">
<rect width="36" height="36" fill="#c2275f"/><circle cx="18" cy="14" r="7" fill="#ffd9e6"/>
<path d="M5 36a13 13 0 0 1 26 0z" fill="#ffd9e6"/></svg>"""
THEMED = TWO.replace("page.css", "shop.css")
CSS = ":root { color-scheme: light dark; } chat-room { margin-bottom: 16px; }\n"


def block(start: str) -> str:
    """The example of the page that begins with this line."""
    return PAGE.partition(f"\n{start}\n")[2].partition("\n```")[0]


class Host:
    """That project, served."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.sessions: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{project.port}"

    def prepare(self) -> None:
        with_chat(self.project)
        write, settings = self.project.write, self.project.directory / "mysite/settings.py"
        write("mysite/settings.py", settings.read_text() + SETTINGS)
        write("shop/__init__.py", "")
        write("shop/live.py", block("# shop/live.py"))
        write("shop/pages.py", PAGES)
        write("shop/templates/order.html", block("{# shop/templates/order.html #}"))
        write("shop/templates/two.html", TWO)
        write("shop/static/page.css", CSS)
        write("shop/static/shop.css", f":root {{ color-scheme: light dark; }}\n{block(STYLE)}")
        write("shop/templates/themed.html", THEMED)
        write("shop/static/pam.svg", FACE)
        route = '    path("page/<template>", page),\n'
        urls = {"urlpatterns = [\n": "from shop.pages import page\nurlpatterns = [\n" + route}
        for old, new in urls.items():
            self.project.change("mysite/urls.py", old, new)
        self.project.manage("migrate")
        said = self.project.manage("shell", "-c", SESSIONS.format(users=USERS))
        self.sessions = dict(re.findall(r"session (\w+) (\w+)", said))

    def enter(self, browser: Browser, name: str, **options: object) -> BrowserContext:
        """A browser in which this user is logged in; "": nobody is."""
        context = browser.new_context(**{"reduced_motion": "reduce", **options})  # type: ignore[arg-type]
        if name:
            cookie = {"name": "sessionid", "value": self.sessions[name], "url": self.url}
            context.add_cookies([cookie])  # type: ignore[list-item]
        return context


@contextmanager
def serving(directory: Path, python: Path) -> Iterator[Host]:
    host = Host(started(directory / "project", python))
    host.prepare()
    with host.project.serving():
        yield host


def say(page: Page, text: str) -> None:
    page.get_by_role("textbox").first.fill(text)
    page.get_by_role("textbox").first.press("Enter")
    page.locator("chat-room").first.locator(".bubble", has_text=text).wait_for()


def draw(browser: Browser, host: Host) -> None:
    size = {"viewport": {"width": 460, "height": 620}, "device_scale_factor": 2}
    views = {"jim": "light", "pam": "dark"}
    pages = {}
    for name, scheme in views.items():
        page = host.enter(browser, name, color_scheme=scheme, **size).new_page()
        page.goto(f"{host.url}/page/order")
        page.locator("[data-phase=live]").wait_for()
        page.evaluate("document.documentElement.style.colorScheme = 'light dark'")
        pages[name] = page
    say(pages["pam"], "Hello! Has the parcel left?")
    say(pages["jim"], "It has, an hour ago 🚚")
    say(pages["jim"], "Here is its number: 00340434292135100186")
    say(pages["pam"], "Thank you, Jim")
    bubble = pages["jim"].locator(".bubble", has_text="Thank you")
    bubble.hover()
    pages["jim"].locator(".picker [data-reaction='❤️']").click()
    pages["pam"].locator(".chip").wait_for()
    pages["pam"].get_by_role("textbox").focus()
    pages["jim"].mouse.move(5, 5)
    shown = [page.locator("chat-room").screenshot() for page in pages.values()]
    images = "".join(
        f'<img src="data:image/png;base64,{b64encode(one).decode()}">' for one in shown
    )
    both = browser.new_page(viewport={"width": 2000, "height": 1200})
    both.set_content(f'<div style="display: inline-flex; gap: 32px">{images}</div>')
    both.locator("div").screenshot(path=PICTURE, omit_background=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="rooms-") as name:
        directory = Path(name)
        python = environment(directory / "environment", build(directory / "dist"))
        with serving(directory, python) as host, sync_playwright() as playwright:
            browser = playwright.chromium.launch(**launching())
            draw(browser, host)
            browser.close()


if __name__ == "__main__":
    main()

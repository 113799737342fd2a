"""What stands on a page of the admin, by its words."""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import reverse

WHERE = "admin:chat_{}_{}"


def list_url(model: str, **asked: str) -> str:
    return f"{reverse(WHERE.format(model, 'changelist'))}?{urlencode(asked)}"


def page_url(model: str, key: object, page: str = "change") -> str:
    return reverse(WHERE.format(model, page), args=[quote(key)])


class Page:
    """The answer to a GET: its rows (cells by column), links and words."""

    def __init__(self, client: Client, url: str) -> None:
        self.response = client.get(url)
        assert self.response.status_code == 200, url
        self.html = self.response.content.decode()
        self._parser = _Parser()
        self._parser.feed(self.html)
        self.words = " ".join(" ".join(self._parser.texts).split())
        self.rows: list[dict[str, str]] = self._parser.rows
        self.links = self._parser.links
        self.fields = self._parser.fields

    def column(self, name: str) -> list[str]:
        return [row[name] for row in self.rows]

    def link(self, words: str) -> str | None:
        return self.links.get(words)


class _Parser(HTMLParser):
    """Cells have a class `field-NAME`; the fields of a page's form, too."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.rows: list[dict[str, str]] = []
        self.links: dict[str, str] = {}
        self.fields: dict[str, str] = {}
        self._link: tuple[str, list[str]] | None = None
        self._cell: str | None = None
        self._field: str | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        names = re.findall(r"field-([a-z_]+)", given.get("class") or "")
        self._silent += tag in ("script", "style", "title")
        if tag == "tr":
            self.rows.append({})
        if tag in ("td", "th") and names and self._field is None:
            self._cell = names[0]
            self.rows[-1][names[0]] = ""
        if tag == "div" and "form-row" in (given.get("class") or "") and names:
            self._field = names[0]
            self.fields[names[0]] = ""
        if tag in ("td", "th", "li") and self._field:
            self.fields[self._field] += " "
        if tag == "a" and given.get("href"):
            self._link = (str(given["href"]), [])

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "title")
        if tag in ("td", "th"):
            self._cell = None
        if tag == "tr" and self.rows and not self.rows[-1]:
            self.rows.pop()
        if tag == "fieldset":
            self._field = None
        if tag == "a" and self._link:
            self.links.setdefault(" ".join("".join(self._link[1]).split()), self._link[0])
            self._link = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.texts.append(data)
        if self._cell is not None:
            self.rows[-1][self._cell] += data
        if self._field is not None:
            self.fields[self._field] += data
        if self._link is not None:
            self._link[1].append(data)


def tick(client: Client, url: str, action: str, keys: list[Any], **more: str) -> Any:
    """What the form below a list sends when its rows are ticked and an action is run."""
    return client.post(
        url, {"action": action, "index": "0", "_selected_action": keys, "select_across": "0"} | more
    )

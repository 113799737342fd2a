"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.servers import Server

Labels = dict[str, str]


class Metrics(dict[str, list[tuple[Labels, float]]]):
    """Samples by name."""

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of those with these labels, 0 where there is none."""
        return sum(value for found, value in self.get(name, ()) if labels.items() <= found.items())

    def of(self, name: str, label: str) -> set[str]:
        """The values of a label."""
        return {labels[label] for labels, _ in self[name]}


def metrics(server: Server) -> Metrics:
    found = Metrics()
    for name, labels, value in _samples(text(server)):
        found.setdefault(name, []).append((labels, value))
    return found


def text(server: Server) -> str:
    key = {"Authorization": f"Bearer {server.env['METRICS_KEY']}"}
    answer = httpx.get(f"{server.url}/metrics", headers=key, trust_env=False, timeout=10)
    return answer.raise_for_status().text


def families(page: str) -> dict[str, str]:
    """The type of each metric, by the name that the page has for it."""
    words = (line.split() for line in page.splitlines() if line.startswith("# TYPE "))
    return {name: kind for _, _, name, kind in words}


def _samples(page: str) -> Iterator[tuple[str, Labels, float]]:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value

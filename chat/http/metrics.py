"""`GET /metrics` for Prometheus, with METRICS_KEY (docs/metrics.md)."""

import asyncio
import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from chat.conf import settings
from chat.http.credentials import bearer, refused_key
from chat.http.endpoint import refusal
from chat.protocol.errors import ProtocolError
from chat.runtime import metrics as sources
from chat.runtime import node as nodes
from chat.runtime.metrics import METRICS, PROCESS, SITE, Sample

if TYPE_CHECKING:
    from prometheus_client.core import Metric

WRONG_KEY: Final = "The header Authorization must be: Bearer, the key in METRICS_KEY."


@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """404 where no key is set; 503 where this process cannot serve yet."""
    key = settings.METRICS_KEY.encode()
    if not key:
        raise Http404
    given = bearer(request)
    if not hmac.compare_digest(given, key):
        return refusal(refused_key(request, given, WRONG_KEY))
    try:
        samples = await sources.all_samples(await nodes.current())
    except ProtocolError as error:
        return refusal(error)
    text, kind = await asyncio.to_thread(render, samples, request.headers.get("Accept", ""))
    return HttpResponse(text, content_type=kind)


def render(samples: Sequence[Sample], accept: str) -> tuple[bytes, str]:
    """In the form that a header Accept asks for, and its Content-Type."""
    from prometheus_client.exposition import choose_encoder  # with its modules a sixth of a second

    encode, kind = choose_encoder(accept)
    return encode(Samples(samples)), kind


class Samples:
    """A collector, as prometheus-client has them, of samples of any number of processes."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def collect(self) -> "Iterator[Metric]":
        found = defaultdict[str, list[Sample]](list)
        for sample in self._samples:
            found[sample.name].append(sample)
        for metric in SITE:
            yield _family(metric.kind, metric.name, metric.help, metric.labels, found[metric.name])
        for metric in METRICS:
            labels = *metric.labels, PROCESS
            yield _family(metric.kind, metric.name, metric.help, labels, found[metric.name])
        processes = {sample.labels[-1] for sample in found[METRICS[0].name]}
        yield from _of_system(sorted(processes))


def _family(
    kind: str, name: str, help: str, labels: Sequence[str], samples: Iterable[Sample]
) -> "Metric":
    from prometheus_client import core

    if kind == "histogram":
        histogram = core.HistogramMetricFamily(name, help, labels=labels)
        for each in samples:
            bounds = [*map(str, each.bounds), "+Inf"]
            buckets = list(zip(bounds, each.buckets, strict=True))
            histogram.add_metric(each.labels, buckets, each.value)
        return histogram
    simple = core.CounterMetricFamily if kind == "counter" else core.GaugeMetricFamily
    family = simple(name, help, labels=labels)
    for each in samples:
        family.add_metric(each.labels, each.value)
    return family


def _of_system(processes: Iterable[str]) -> "Iterator[Metric]":
    """What /proc says of these: processor time, memory, descriptors."""
    from prometheus_client import ProcessCollector

    found = defaultdict[tuple[str, str, str], list[Sample]](list)
    for process in processes:
        for family in ProcessCollector(pid=partial(str, process), registry=None).collect():
            [(name, _, value, *_)] = family.samples
            found[family.type, name, family.documentation].append(Sample(name, (process,), value))
    for metric, samples in found.items():
        yield _family(*metric, (PROCESS,), samples)

"""Render the response of `/metrics`: live samples at each scrape, large parts once for many scrapes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from dataops_exporter.compatibility import METRICS as DIALECTS
from dataops_exporter.families import Sample, SamplesCollector
from dataops_exporter.metrics import METRICS

Encoder = Callable[[Collector], bytes]
END = b"# EOF\n"
"""Last line of OpenMetrics; it is removed from each part."""
GZIP_LEVEL = 1
"""Level for the whole response: not every scraper reads concatenated gzip."""
FORMATS = 4
"""Maximum number of cached formats of a part; usual are text and OpenMetrics."""


class ExpositionPart:
    """Samples that change rarely, rendered at each change in each requested format."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._encoders: dict[str, Encoder] = {}
        self._bodies: dict[str, bytes] = {}
        self.registry = registry_of(list)

    def replace(self, samples: Sequence[Sample]) -> None:
        """Replace the samples."""
        registry = registry_of(lambda: samples)
        with self._lock:
            wanted = dict(self._encoders)
        bodies = {content_type: encode(encoder, registry) for content_type, encoder in wanted.items()}
        with self._lock:
            self.registry, self._bodies = registry, bodies

    def go_on_from(self, previous: ExpositionPart) -> None:
        """Serve the samples of another part until the next change."""
        with previous._lock:
            self._encoders, self._bodies = dict(previous._encoders), dict(previous._bodies)
            self.registry = previous.registry

    def body(self, content_type: str, encoder: Encoder) -> bytes:
        """Return the part in a format."""
        with self._lock:  # concurrent scrapes render it only once
            if content_type not in self._bodies:
                self._bodies[content_type] = encode(encoder, self.registry)
            self._encoders.pop(content_type, None)
            self._encoders[content_type] = encoder  # newest last
            while len(self._encoders) > FORMATS:
                forgotten = next(iter(self._encoders))
                del self._encoders[forgotten]
                self._bodies.pop(forgotten, None)
            return self._bodies[content_type]


def registry_of(samples: Callable[[], Sequence[Sample]]) -> CollectorRegistry:
    """Return a registry of the samples that a function returns at each scrape."""
    registry = CollectorRegistry()
    registry.register(SamplesCollector((*METRICS, *DIALECTS), samples))
    return registry


def encode(encoder: Encoder, registry: Collector) -> bytes:
    """Return a registry in a format, without the end line of OpenMetrics."""
    return encoder(registry).removesuffix(END)


def negotiate(accept: str) -> tuple[Encoder, str]:
    """Return the encoder for an `Accept` header, and its content type; plain text for an invalid header."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is not a number
        return choose_encoder("")


def respond(
    live: CollectorRegistry, parts: Sequence[ExpositionPart], headers: Mapping[str, str], names: Sequence[str] = ()
) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body for a scrape.

    Args:
        live: Registry that is rendered now.
        parts: Parts that are rendered in advance.
        headers: `Accept` and `Accept-Encoding` of the request.
        names: Names of the requested metrics; empty: all.
    """
    encoder, content_type = negotiate(headers.get("Accept", ""))
    if names:
        registries = (live, *(part.registry for part in parts))
        bodies = [encode(encoder, registry.restricted_registry(names)) for registry in registries]
    else:
        bodies = [encode(encoder, live), *(part.body(content_type, encoder) for part in parts)]
    if "openmetrics" in content_type:
        bodies.append(END)
    body = b"".join(bodies)
    if not gzip_accepted(headers.get("Accept-Encoding", "")):
        return [("Content-Type", content_type)], body
    return [("Content-Type", content_type), ("Content-Encoding", "gzip")], gzip.compress(body, GZIP_LEVEL, mtime=0)

"""The pages: metrics, health, readiness, a probe on demand, and an index."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote

from dataops_core.plain import visible_lines
from dataops_core.units import duration
from dataops_exporter.access import OPEN, Access
from dataops_exporter.collector import ServedSnapshot, snapshot_samples
from dataops_exporter.exposition import registry_of, respond
from dataops_exporter.server import ACCESS, Environ, StartResponse, say
from dataops_exporter.service import Service

PLAIN = "text/plain; charset=utf-8"
TIMEOUT_HEADER = "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS"
TIMEOUT_OFFSET = 0.5
"""Seconds between the response and the scraper's timeout."""


@dataclass(frozen=True)
class Page:
    """A response."""

    body: bytes
    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = field(default=(("Content-Type", PLAIN),))

    @classmethod
    def text(cls, body: str, status: str = "200 OK") -> Page:
        """Return a page of plain text that is safe for terminals."""
        return cls(visible_lines(body).encode(), status)


class Pages:
    """The WSGI application.

    Args:
        service: The running exporter.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._pages: dict[str, Callable[[Environ], Page]] = {
            "/": self._landing,
            "/metrics": self._metrics,
            "/probe": self._probe,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Return the body of the response to a request."""
        path = environ.get("PATH_INFO") or "/"
        try:
            page = self._page(path, environ)
        except Exception as error:  # noqa: BLE001 - a bug in one page must not stop the others
            say(f"{path} failed: {type(error).__name__}: {error}")
            page = Page.text("request failed; see the exporter's log\n", "500 Internal Server Error")
        self._service.count(path if path in self._pages else "other", page.status.split()[0])
        start_response(page.status, [*page.headers, ("Content-Length", str(len(page.body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else page.body]

    def _page(self, path: str, environ: Environ) -> Page:
        access = environ.get(ACCESS, Access.REFUSED)
        if path not in OPEN and access is not Access.ADMITTED:
            return self._refusal(access)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return Page.text("only GET and HEAD are allowed\n", "405 Method Not Allowed")
        answer = self._pages.get(path)
        if answer is None:
            return Page.text("no such page; metrics are at /metrics\n", "404 Not Found")
        return answer(environ)

    def _refusal(self, access: Access) -> Page:
        plain = ("Content-Type", PLAIN)
        if access is Access.TOO_MANY:
            body = b"too many wrong credentials; yours were not checked, try again\n"
            return Page(body, "429 Too Many Requests", (plain, ("Retry-After", "1")))
        challenge = ("WWW-Authenticate", self._service.web.current().challenge or "")
        return Page(b"credentials are required\n", "401 Unauthorized", (plain, challenge))

    def _healthy(self, _environ: Environ) -> Page:
        return Page.text("healthy\n")

    def _ready(self, _environ: Environ) -> Page:
        reason = self._service.latest.why_not_ready()
        return Page.text(f"{reason}\n", "503 Service Unavailable") if reason else Page.text("ready\n")

    def _landing(self, _environ: Environ) -> Page:
        links = ["/metrics", *OPEN]
        links += [f"/probe?pipeline={quote(name)}&debug=true" for name in self._service.watch.pipelines]
        items = "".join(f'<li><a href="{html.escape(link)}">{html.escape(link)}</a></li>\n' for link in links)
        body = (
            '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>DataOps exporter</title>\n'
            f"<h1>DataOps exporter</h1>\n<ul>\n{items}</ul>\n</html>\n"
        )
        return Page(body.encode(), headers=(("Content-Type", "text/html; charset=utf-8"),))

    def _metrics(self, environ: Environ) -> Page:
        names = parse_qs(environ.get("QUERY_STRING", "")).get("name[]", [])
        headers, body = respond(self._service.registry, self._service.parts, _accepted(environ), names)
        return Page(body, headers=tuple(headers))

    def _probe(self, environ: Environ) -> Page:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        name = query.get("pipeline", [""])[0]
        watch = self._service.watch
        if name not in watch.pipelines:
            known = ", ".join(watch.pipelines) or "none"
            return Page.text(f"there is no pipeline {name!r}; known are: {known}\n", "404 Not Found")
        served = watch.probe(name, _within(environ.get(TIMEOUT_HEADER)))
        if query.get("debug", [""])[0] == "true":
            return Page.text("".join(f"{line}\n" for line in _summary_lines(served)))
        headers, body = respond(registry_of(lambda: list(snapshot_samples(served))), (), _accepted(environ))
        return Page(body, headers=tuple(headers))


def _accepted(environ: Environ) -> dict[str, str]:
    return {"Accept": environ.get("HTTP_ACCEPT", ""), "Accept-Encoding": environ.get("HTTP_ACCEPT_ENCODING", "")}


def _within(header: str | None) -> float | None:
    """Return the deadline of a probe in seconds from the scraper's timeout header, or `None` without one."""
    try:
        return max(TIMEOUT_OFFSET, float(header) - TIMEOUT_OFFSET) if header else None
    except ValueError:
        return None


def _summary_lines(served: ServedSnapshot) -> Iterator[str]:
    """Yield the result of a probe on demand as text."""
    for pipeline in served.snapshot.pipelines:
        yield f"{pipeline.name}: {pipeline.verdict.status.value}: {pipeline.verdict.sentence}"
        yield from (f"  {line}" for line in pipeline.verdict.evidence)
        age = "unknown" if pipeline.data_age is None else duration(pipeline.data_age)
        yield f"data age: {age}"
        yield ""
        for stage in pipeline.stages:
            yield f"{stage.name}: {stage.state.value}: {stage.reason}"
            if stage.observation is not None and stage.error is None:
                yield from (f"  {note}" for note in stage.observation.notes)
                yield from (f"  {f.name} {f.value:g} {f.unit}".rstrip() for f in stage.observation.figures)
    yield ""
    for probe in served.snapshot.probes:
        how = "ok" if probe.success else f"failed: {probe.error}"
        yield f"probe {probe.probe} {probe.target}: {how} ({duration(probe.duration, precise=True)})"

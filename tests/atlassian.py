"""Jira and Confluence of one site, from memory: a request that does not fit the API's published schema is refused."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from jsonschema import Draft4Validator, ValidationError

DATA = Path(__file__).parent / "unit/data"
# A folder with the whole published documents, jira.json and confluence.json: requests are checked against these then.
WHOLE = os.environ.get("ATLASSIAN_OPENAPI")
EMAIL, TOKEN = "team@example.com", "not-to-be-shown"
TYPES = {"Epic": ("10000", 1), "Task": ("10001", 0), "Story": ("10002", 0), "Subtask": ("10003", -1)}
CATEGORIES = ("new", "indeterminate", "done")


class Schema:
    """The operations of an OpenAPI document.

    Args:
        base: What stands before the document's paths.
    """

    def __init__(self, name: str, whole: str, base: str = "") -> None:
        self._document = _whole(Path(WHOLE) / whole) if WHOLE else yaml.safe_load((DATA / name).read_text())
        self._base = base

    def problems(self, method: str, path: str, query: Mapping[str, list[str]], body: object) -> Iterator[str]:
        """Yield what is wrong with a request."""
        found = self._operation(method, path)
        if found is None:
            yield f"{method} {path} is no operation"
            return
        operation, values = found
        parameters = {(p["in"], p["name"]): p["schema"] for p in operation.get("parameters", ())}
        for place, given in (("query", query), ("path", values)):
            for name, texts in given.items():
                if (place, name) not in parameters:
                    yield f"{method} {path}: no parameter {name}"
                else:
                    yield from self._invalid(_typed(texts, parameters[place, name]), parameters[place, name], name)
        wanted = self._resolve(operation.get("requestBody"))
        if (wanted is None) != (body is None):
            yield f"{method} {path}: a body is {'not ' if wanted is None else ''}wanted"
        elif wanted is not None:
            yield from self._invalid(body, wanted["content"]["application/json"]["schema"], f"{method} {path}")

    def _operation(self, method: str, path: str) -> tuple[Any, dict[str, list[str]]] | None:
        for template, operations in self._document["paths"].items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self._base + template))
            found = re.fullmatch(pattern, path)
            if found and method.lower() in operations:
                return operations[method.lower()], {name: [value] for name, value in found.groupdict().items()}
        return None

    def _invalid(self, value: object, schema: Mapping[str, Any], where: str) -> Iterator[str]:
        validator = Draft4Validator({"allOf": [schema], "components": self._document["components"]})
        error: ValidationError
        for error in validator.iter_errors(value):
            yield f"{where}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"

    def _resolve(self, found: Any) -> Any:
        while found and "$ref" in found:
            name = found["$ref"].removeprefix("#/").split("/")
            found = self._document
            for part in name:
                found = found[part]
        return found


@cache
def _whole(path: Path) -> Any:
    # A body of Confluence is one of two forms, of which the second, as published, allows anything: so any, not one.
    return json.loads(path.read_text(encoding="utf-8").replace('"oneOf"', '"anyOf"'))


def _typed(texts: list[str], schema: Mapping[str, Any]) -> object:
    if schema.get("type") == "array":
        return [_typed([text], schema["items"]) for text in texts]
    if schema.get("type") == "integer":
        return int(texts[0]) if texts[0].isdigit() else texts[0]
    return {"true": True, "false": False}.get(texts[0], texts[0]) if schema.get("type") == "boolean" else texts[0]


@dataclass
class Answer:
    """What is answered in place of the right thing, once."""

    status: int
    body: str = "{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    on: str = ""
    """Only to a request whose method and path hold this."""


class Atlassian:
    """Listens on 127.0.0.1.

    Attributes:
        refused: What did not fit the schema: empty at the end of a test that is right.
        asked: Method and path of each request.
        instead: Answers to come before the right ones.
        lag: As many searches do not show yet what was created.
        hang: Whether nothing is answered at all.
    """

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.asked: list[str] = []
        self.instead: list[Answer] = []
        self.issues: dict[str, dict[str, Any]] = {}
        self.pages: dict[str, dict[str, Any]] = {}
        self.categories: tuple[str, ...] = CATEGORIES
        self.lag = 0
        self.hang = False
        self._end = threading.Event()
        self.page_size = 30
        self._hidden: set[str] = set()
        self._keys = (f"DOT-{number}" for number in count(1))
        self._ids = count(100)
        self._jira = Schema("jira-cloud-v3.yaml", "jira.json")
        self._confluence = Schema("confluence-cloud-v2.yaml", "confluence.json", "/wiki/api/v2")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer._serve(self)

            def do_POST(self) -> None:
                outer._serve(self)

            def do_PUT(self) -> None:
                outer._serve(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.site = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    def writes(self) -> list[str]:
        """Return what was asked and changes something."""
        return [line for line in self.asked if not line.startswith("GET") and "/search/" not in line]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if self.hang:
            self._end.wait()
            handler.close_connection = True
            return
        method, url = handler.command, urlsplit(handler.path)
        self.asked.append(f"{method} {url.path}")
        body = json.loads(raw) if raw else None
        query = parse_qs(url.query)
        status, answer, headers = self._answer(method, url.path, query, body, handler.headers["Authorization"])
        text = answer if isinstance(answer, str) else "" if answer is None else json.dumps(answer)
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(text.encode())), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text.encode())

    def _answer(
        self, method: str, path: str, query: Mapping[str, list[str]], body: Any, authorization: str | None
    ) -> tuple[int, Any, Mapping[str, str]]:
        if self.instead and self.instead[0].on in f"{method} {path}":
            instead = self.instead.pop(0)
            return instead.status, instead.body, instead.headers
        if authorization != "Basic " + base64.b64encode(f"{EMAIL}:{TOKEN}".encode()).decode():
            return 401, "", {}
        schema = self._confluence if path.startswith("/wiki") else self._jira
        problems = list(schema.problems(method, path, query, body))
        if problems:
            self.refused += problems
            return 400, {"errorMessages": problems, "errors": {}}, {}
        if path.startswith("/wiki"):
            status, answer = self._of_confluence(method, path.removeprefix("/wiki/api/v2"), query, body)
        else:
            status, answer = self._of_jira(method, path.removeprefix("/rest/api/3"), body)
        return status, answer, {}

    def _of_jira(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/search/jql":
            return 200, self._search(body)
        if path == "/issue/bulk":
            return self._create(body["issueUpdates"])
        if path.startswith("/issue/createmeta/"):
            if path.split("/")[3] != "DOT":
                return 404, {"errorMessages": ["No project could be found with key 'X'."], "errors": {}}
            types = [{"id": i, "name": n, "hierarchyLevel": level} for n, (i, level) in TYPES.items()]
            return 200, {"issueTypes": types, "total": len(types)}
        issue = self.issues[path.split("/")[2]]
        if path.endswith("/transitions"):
            if method == "GET":
                return 200, {"transitions": [{"id": c, "to": {"statusCategory": {"key": c}}} for c in self.categories]}
            issue["fields"]["status"] = {"statusCategory": {"key": body["transition"]["id"]}}
        else:
            issue["fields"] |= body["fields"]
            issue["properties"] |= {p["key"]: p["value"] for p in body["properties"]}
        return 204, None

    def _search(self, body: Mapping[str, Any]) -> dict[str, Any]:
        assert body["jql"].startswith('project = "DOT" AND labels = "dataops-tui"')
        if self.lag:
            self.lag -= 1
        else:
            self._hidden.clear()
        start = int(body.get("nextPageToken", 0))
        shown = [
            {
                "id": issue["id"],
                "key": key,
                "fields": {name: issue["fields"].get(name) for name in body["fields"]},
                "properties": {name: issue["properties"].get(name, {}) for name in body["properties"]},
            }
            for key, issue in self.issues.items()
            if key not in self._hidden and "dataops-tui" in issue["fields"]["labels"]
        ]
        end = start + min(self.page_size, body["maxResults"])
        rest = {"nextPageToken": str(end), "isLast": False} if end < len(shown) else {"isLast": True}
        return {"issues": shown[start:end], **rest}

    def _create(self, bodies: list[Any]) -> tuple[int, Any]:
        levels = dict(TYPES.values())
        made, errors = [], []
        for number, body in enumerate(bodies):
            fields = body["fields"]
            level = levels.get(fields["issuetype"].get("id"))
            parent = self.issues.get(fields["parent"]["key"]) if "parent" in fields else None
            above = levels[parent["fields"]["issuetype"]["id"]] if parent else 2
            if level is None or (level < 1 and above != level + 1):
                wrong = {"errorMessages": [], "errors": {"parent": f"{fields['summary']} has no fitting parent"}}
                errors.append({"status": 400, "elementErrors": wrong, "failedElementNumber": number})
                continue
            key, new_id = next(self._keys), str(next(self._ids))
            status = {"statusCategory": {"key": "new"}}
            properties = {p["key"]: p["value"] for p in body.get("properties", ())}
            self.issues[key] = {"id": new_id, "fields": {**fields, "status": status}, "properties": properties}
            if self.lag:
                self._hidden.add(key)
            made.append({"id": new_id, "key": key, "self": f"{self.site}/rest/api/3/issue/{new_id}"})
        return 201 if made else 400, {"issues": made, "errors": errors}

    def _of_confluence(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> tuple[int, Any]:
        if path == "/spaces":
            return 200, {"results": [{"id": "77", "key": "TEAM"}] if query["keys"] == ["TEAM"] else []}
        if method == "GET":
            assert query["space-id"] == ["77"]
            return 200, {"results": [p for p in self.pages.values() if p["title"] == query["title"][0]]}
        there = self.pages.get(path.rpartition("/")[2])
        if any(p["title"] == body["title"] and p is not there for p in self.pages.values()):
            return 400, {
                "errors": [{"status": 400, "code": "INVALID", "title": "A page with this title already exists"}]
            }
        if body.get("parentId", "1") not in (*self.pages, "1"):
            return 404, {"errors": [{"status": 404, "title": "The parent is not there"}]}
        if method == "PUT" and (there is None or body["version"]["number"] != there["version"]["number"] + 1):
            return 409, {"errors": [{"status": 409, "title": "Version must be incremented"}]}
        page_id = there["id"] if there else str(next(self._ids))
        self.pages[page_id] = {
            "id": page_id,
            "title": body["title"],
            "parentId": body.get("parentId", "1"),
            "version": body.get("version", {"number": 1}),
            "body": {"storage": body["body"]},
        }
        return 200, self.pages[page_id]

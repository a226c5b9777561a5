"""Write the manifest for a central Prometheus, and the list of rules for `dataops monitoring verify`.

Both come from dashboards/alerts; `make onboarding` writes them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "dashboards/alerts"
CHART = ROOT / "deploy/helm/dataops-exporter"
MANIFEST = Path(__file__).with_name("onboarding.yaml")
NAMES = ROOT / "core/dataops_core/shipped_rules.json"

NAMESPACE, TEAM = "dataops", "data-platform"
EXPORTER = {"app.kubernetes.io/name": "dataops-exporter"}
HEAD = """\
# Resources for a central Prometheus with an operator, if the exporter is not installed by its Helm chart, which creates
# the first two. `make onboarding` writes this file from dashboards/alerts: change it there.
#
# Replace these values, here or with kustomize:
# - `pandora: onboarded`: the label by which the platform selects monitors and rules.
# - `pulse: onboarded`: the label by which the platform selects routes.
# - `namespace: dataops`: the namespace of the exporter; `team: data-platform`: the team on call.
# - `app.kubernetes.io/name: dataops-exporter` and the port `http`: those of the exporter's Service.
# - The Secret dataops-receivers: the addresses of the receivers page, ticket and watchdog under these keys.
# - https://runbooks.example.com/dataops: the address at which dashboards/runbooks are published.
#
# The operator routes by namespace, so every alert carries that label, also an alert without a target.
# Then: dataops monitoring verify --url PROMETHEUS --alertmanager ALERTMANAGER
"""


def rule_names(groups: list[dict[str, Any]]) -> dict[str, int]:
    """Return the number of rules by name."""
    return dict(Counter(rule.get("alert") or rule["record"] for group in groups for rule in group["rules"]))


def manifest(rules: dict[str, Any], alertmanager: dict[str, Any], values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the three resources of the manifest.

    Args:
        rules: The rules of Prometheus.
        alertmanager: The example of routing.
        values: The chart's values, for the scrape settings.
    """
    return [
        _resource("v1", "ServiceMonitor", "pandora", _monitor(values["serviceMonitor"])),
        _resource("v1", "PrometheusRule", "pandora", {"groups": [_group(group) for group in rules["groups"]]}),
        _resource("v1alpha1", "AlertmanagerConfig", "pulse", _routing(alertmanager)),
    ]


def _resource(version: str, kind: str, platform: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": f"monitoring.coreos.com/{version}",
        "kind": kind,
        "metadata": {"name": "dataops-exporter", "namespace": NAMESPACE, "labels": {**EXPORTER, platform: "onboarded"}},
        "spec": spec,
    }


def _monitor(values: dict[str, Any]) -> dict[str, Any]:
    endpoint = {
        "port": "http",
        "path": "/metrics",
        "scheme": "http",
        "interval": values["interval"],
        "scrapeTimeout": values["scrapeTimeout"],
    }
    return {"jobLabel": next(iter(EXPORTER)), "selector": {"matchLabels": dict(EXPORTER)}, "endpoints": [endpoint]}


def _group(group: dict[str, Any]) -> dict[str, Any]:
    own = {"namespace": NAMESPACE, "team": TEAM}
    rules = [{**rule, "labels": {**rule["labels"], **own}} if "alert" in rule else rule for rule in group["rules"]]
    return {**group, "rules": rules}


def _routing(results: dict[str, Any]) -> dict[str, Any]:
    return {
        "route": _route(results["route"]),
        "inhibitRules": [
            {
                "sourceMatch": [_matcher(text) for text in rule["source_matchers"]],
                "targetMatch": [_matcher(text) for text in rule["target_matchers"]],
                "equal": rule["equal"],
            }
            for rule in results["inhibit_rules"]
        ],
        "receivers": [_receiver(receiver) for receiver in results["receivers"]],
    }


def _route(results: dict[str, Any]) -> dict[str, Any]:
    route: dict[str, Any] = {}
    for key, value in results.items():
        if key == "matchers":
            route["matchers"] = [_matcher(text) for text in value]
        elif key == "routes":
            route["routes"] = [_route(inner) for inner in value]
        else:
            route[_camel(key)] = value
    return route


def _matcher(text: str) -> dict[str, str]:
    match = re.fullmatch(r'(\w+)\s*(=~|!~|!=|=)\s*"?([^"]*)"?', text)
    if match is None:
        raise ValueError(f"no matcher: {text}")
    return {"name": match[1], "matchType": match[2], "value": match[3]}


def _receiver(results: dict[str, Any]) -> dict[str, Any]:
    name = results["name"]
    # Addresses of webhooks often contain a secret.
    hooks = [
        {"urlSecret": {"name": "dataops-receivers", "key": name}, "sendResolved": hook["send_resolved"]}
        for hook in results.get("webhook_configs", [])
    ]
    return {"name": name, **({"webhookConfigs": hooks} if hooks else {})}


def _camel(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(word.title() for word in others)


class _Dumper(yaml.SafeDumper):
    """A YAML dumper with block style for multi-line texts, and without aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base class's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def written() -> dict[Path, str]:
    """Return the contents of the generated files."""
    rules, alertmanager = (yaml.safe_load((ALERTS / name).read_text()) for name in ("rules.yml", "alertmanager.yml"))
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    resources = manifest(rules, alertmanager, values)
    text = yaml.dump_all(resources, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return {MANIFEST: f"{HEAD}---\n{text}", NAMES: json.dumps(rule_names(rules["groups"]), indent=2) + "\n"}


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))

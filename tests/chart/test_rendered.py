"""The chart as helm renders each example: strict schemas, kube-score, promtool; and the chart's own unit tests."""

from __future__ import annotations

import copy
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from tests.monitoring import CHART, ROOT, TOOLS, program

pytestmark = pytest.mark.helm

EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
FOR_EACH = pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
EXCUSED = {
    # OpenShift gives out a user of its own; kube-score wants a fixed one.
    "container-security-context-user-group-id",
    # A digest is as good as a tag with Always, and a fixed tag needs no pull at each start.
    "container-image-pull-policy",
    # There is one pod by design: replicas would ask every system twice.
    "deployment-replicas",
}


def run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def rendered(values: Path) -> str:
    return run(program("helm"), "template", "dataops", str(CHART), "--namespace", "dataops", "--values", str(values))


def resources(values: Path) -> list[dict[str, Any]]:
    return [resource for resource in yaml.safe_load_all(rendered(values)) if resource]


@cache
def definitions() -> dict[str, Any]:
    """Return the operator's and OpenShift's own schemas by kind, in which what they do not name is refused."""
    found = {}
    for path in (TOOLS / "crds").glob("*.yaml"):
        definition = yaml.safe_load(path.read_text())["spec"]
        found[definition["names"]["kind"]] = strict(definition["versions"][0]["schema"]["openAPIV3Schema"])
    return found


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    schema = {key: copy.deepcopy(inner) for key, inner in schema.items() if inner is not None}
    if schema.get("properties"):
        schema.setdefault("additionalProperties", False)
        schema["properties"] = {name: strict(inner) for name, inner in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        schema["items"] = strict(schema["items"])
    if "(?i)" in schema.get("pattern", ""):
        del schema["pattern"]  # Go's way to write it, which Python's expressions refuse
    if schema.get("x-kubernetes-int-or-string"):
        schema["type"] = ["integer", "string"]
    return schema


@FOR_EACH
def test_helm_finds_nothing_wrong(values: Path) -> None:
    run(program("helm"), "lint", "--strict", "--quiet", str(CHART), "--values", str(values))


@FOR_EACH
def test_kubernetes_the_operator_and_openshift_take_it(values: Path) -> None:
    for resource in resources(values):
        kind = resource["kind"]
        if kind in definitions():
            jsonschema.validate({**resource, "metadata": {}}, definitions()[kind])
        else:
            kubernetes_validate.validate(resource, "1.37", strict=True)


def test_the_operator_takes_the_manifest_that_needs_no_chart() -> None:
    manifest = yaml.safe_load_all((ROOT / "deploy/monitoring/onboarding.yaml").read_text())
    for resource in manifest:
        jsonschema.validate({**resource, "metadata": {}}, definitions()[resource["kind"]])


def test_the_manifest_scrapes_as_the_chart_does() -> None:
    text = run(program("helm"), "template", "dataops", str(CHART), "--set=serviceMonitor.enabled=true,config=x")
    (made,) = (found for found in yaml.safe_load_all(text) if found and found["kind"] == "ServiceMonitor")
    written, *_ = yaml.safe_load_all((ROOT / "deploy/monitoring/onboarding.yaml").read_text())
    assert written["spec"]["endpoints"] == made["spec"]["endpoints"]
    assert written["spec"]["jobLabel"] == made["spec"]["jobLabel"]
    assert written["spec"]["selector"]["matchLabels"].items() <= made["spec"]["selector"]["matchLabels"].items()


def test_a_field_that_is_not_there_is_refused() -> None:
    monitor = next(r for r in resources(CHART / "ci/openshift-values.yaml") if r["kind"] == "ServiceMonitor")
    monitor["spec"]["endpoints"][0]["intervall"] = "1m"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**monitor, "metadata": {}}, definitions()["ServiceMonitor"])


@FOR_EACH
def test_kube_score_finds_nothing_critical(values: Path) -> None:
    ignored = [argument for name in sorted(EXCUSED) for argument in ("--ignore-test", name)]
    core = [resource for resource in resources(values) if "." not in resource["apiVersion"].partition("/")[0]]
    core += [resource for resource in resources(values) if resource["apiVersion"].startswith("networking.k8s.io/")]
    text = yaml.safe_dump_all(core)
    run(program("kube-score"), "score", "--output-format=ci", *ignored, "-", stdin=text)


@FOR_EACH
def test_restricted_v2_admits_every_pod(values: Path) -> None:
    """Also PodSecurity `restricted`: no user is fixed, nothing may be gained, nothing written but what is mounted."""
    pods = [r["spec"]["template"]["spec"] for r in resources(values) if r["kind"] == "Deployment"]
    pods += [r["spec"] for r in resources(values) if r["kind"] == "Pod"]
    assert len(pods) == 2
    for pod in pods:
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert not [volume for volume in pod.get("volumes", []) if "hostPath" in volume]
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
            }


@pytest.mark.parametrize("name", ["openshift", "central"])
def test_the_rules_that_it_ships_are_rules(name: str, tmp_path: Path) -> None:
    (rule,) = (r for r in resources(CHART / f"ci/{name}-values.yaml") if r["kind"] == "PrometheusRule")
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(rule["spec"]))
    run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(path))


def test_the_dashboards_that_it_ships_are_whole() -> None:
    maps = [
        r for r in resources(CHART / "ci/openshift-values.yaml") if r["metadata"]["labels"].get("grafana_dashboard")
    ]
    shipped = {name: json.loads(text) for r in maps for name, text in r["data"].items()}
    files = {path.name: json.loads(path.read_text()) for path in (CHART / "files/dashboards").glob("*.json")}
    assert shipped == files


def test_helm_unittest() -> None:
    run(program("helm-unittest"), "--strict", str(CHART))

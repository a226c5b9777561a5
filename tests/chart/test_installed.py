"""The chart on a real kube-apiserver: installed, upgraded, rolled back and removed with one namespace's rights."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kube_server import DEPLOYER, Key, Kubernetes, Resource, running_kubernetes
from tests.monitoring import CHART, ROOT, TOOLS, program

pytestmark = [pytest.mark.kube, pytest.mark.timeout(600)]

EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
FOR_EACH = pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
RELEASE = "dataops"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
OPERATORS = {
    "monitoring.coreos.com": ["servicemonitors", "podmonitors", "prometheusrules"],
    "route.openshift.io": ["routes", "routes/custom-host"],
}
"""Which kinds somebody may make beside Kubernetes' own: what the operators add to the role `edit`."""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with running_kubernetes(tmp_path_factory.mktemp("kubernetes")) as server:
        definitions = [yaml.safe_load(path.read_text()) for path in (TOOLS / "crds").glob("*.yaml")]
        assert {definition["spec"]["group"] for definition in definitions} == set(OPERATORS)
        for definition in definitions:
            server.make(definition)
        for definition in definitions:
            served(server, definition)
        rules = [{"apiGroups": [group], "resources": kinds, "verbs": ["*"]} for group, kinds in OPERATORS.items()]
        server.make(rbac("ClusterRole", "operators", rules=rules))
        # OpenShift has it.
        priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1_000_000_000}
        server.make({**priority, "metadata": {"name": "openshift-user-critical"}})
        yield server


def served(server: Kubernetes, definition: Resource) -> None:
    """Return when the server has objects of this kind; having taken its definition, it is not ready at once."""
    spec = definition["spec"]
    path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
    deadline = time.monotonic() + 60
    while (answer := server.ask("GET", path)).status != 200:
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)


def rbac(kind: str, name: str, **more: Any) -> Resource:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, **more}


class Project:
    """A namespace under PodSecurity `restricted`, and helm as the one who may edit it and nothing else."""

    def __init__(self, server: Kubernetes, name: str) -> None:
        self.server = server
        self.name = name
        server.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
        # `edit` itself is the sum of these, which a controller adds up.
        for role in ("system:aggregate-to-edit", "system:aggregate-to-view", "operators"):
            to = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
            whom = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": DEPLOYER}
            binding = rbac("RoleBinding", role.replace(":", "-"), roleRef=to, subjects=[whom])
            server.make(binding, name)
        self.before = set(self.all())

    def helm(self, *arguments: str | Path) -> str:
        """Run helm, which has to find nothing to warn of."""
        done = self.try_helm(*arguments)
        assert done.returncode == 0, done.stderr
        # The chart's dashboards and rules are links to where they are written.
        assert not [line for line in done.stderr.splitlines() if "found symbolic link" not in line]
        return done.stdout

    def try_helm(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        home = self.server.folder / "helm"
        command = [program("helm"), *arguments, "--namespace", self.name]
        command += ["--kubeconfig", self.server.kubeconfig(DEPLOYER)]
        env = {"PATH": os.environ["PATH"], "HOME": str(home)}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)

    def all(self) -> dict[Key, Resource]:
        """Return everything but what the server tells of its own doings, when it happens to."""
        return {key: thing for key, thing in self.server.objects(self.name).items() if key.kind != "Event"}

    def objects(self) -> dict[Key, Resource]:
        """Return what the release made, without what helm notes down for itself."""
        return {
            key: thing
            for key, thing in self.all().items()
            if key not in self.before and thing.get("type") != "helm.sh/release.v1"
        }

    def deployment(self) -> Resource:
        (found,) = (thing for key, thing in self.objects().items() if key.kind == "Deployment")
        return found

    def pod(self) -> Resource:
        """Return the pod that the Deployment's controller would make."""
        template = self.deployment()["spec"]["template"]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "made", **template["metadata"]}} | {
            "spec": template["spec"]
        }

    def judged(self, resource: Resource) -> tuple[int, str]:
        """Return what the server says of it, without making it; a field that it does not know is refused."""
        answer = self.server.create(resource, self.name, dryRun="All", fieldValidation="Strict")
        assert not answer.warnings
        return answer.status, answer.body.get("message", "")


@pytest.fixture
def project(kubernetes: Kubernetes, request: pytest.FixtureRequest) -> Project:
    count = len(kubernetes.get("/api/v1/namespaces")["items"])
    return Project(kubernetes, f"dataops-{count}")


def loaded(text: str) -> list[Resource]:
    return [resource for resource in yaml.safe_load_all(text) if resource]


def keys(resources: list[Resource]) -> set[Key]:
    return {Key(resource["kind"], resource["metadata"]["name"]) for resource in resources}


def wanted(objects: dict[Key, Resource]) -> dict[Key, Resource]:
    """Leave out what the server adds to an object each time that it is made or written."""
    found = copy.deepcopy(objects)
    for thing in found.values():
        thing.pop("status", None)
        for name in ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"):
            thing["metadata"].pop(name, None)
        for name in ("clusterIP", "clusterIPs"):
            thing.get("spec", {}).pop(name, None)
    return found


def generations(objects: dict[Key, Resource]) -> dict[Key, Any]:
    return {key: thing["metadata"]["resourceVersion"] for key, thing in objects.items()}


def changes(values: Path, folder: Path) -> Path:
    """Write the example's values anew, with whatever may change changed."""
    example = yaml.safe_load(values.read_text())
    recreate: dict[str, Any] = {"type": "Recreate"}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    changed: dict[str, Any] = {
        "image": {"repository": "mirror.example.com/elsewhere/dataops-exporter", "tag": "9.9.9"},
        "commonLabels": {"example.com/changed": "yes"},
        "podAnnotations": {"example.com/changed": "yes"},
        "podLabels": {"example.com/changed-too": "yes"},
        "replicas": 1 - example.get("replicas", 1),
        "resources": {"limits": {"memory": "1Gi"}},
        "web": {**example.get("web", {}), "port": 9999},
        "strategy": rolling if example.get("strategy", recreate) == recreate else recreate,
        "service": {"annotations": {"example.com/changed": "yes"}},
        "serviceMonitor": {**example.get("serviceMonitor", {}), "interval": "2m"},
        "networkPolicy": {"from": [{"podSelector": {}}]},
        "podDisruptionBudget": {"enabled": False},
        "dashboards": {"enabled": not example.get("dashboards", {}).get("enabled", False)},
    }
    if "config" in example:
        changed["config"] = example["config"] + "# changed\n"
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(example | changed))
    return path


@FOR_EACH
def test_installed_upgraded_rolled_back_and_removed(values: Path, project: Project, tmp_path: Path) -> None:
    rendered = loaded(project.helm("template", RELEASE, CHART, "--values", values, "--skip-tests"))
    for resource in rendered:
        assert project.judged(resource) == (201, "")

    project.helm("install", RELEASE, CHART, "--values", values)
    first = project.objects()
    assert set(first) == keys(rendered)

    project.helm("upgrade", RELEASE, CHART, "--values", values)
    assert generations(project.objects()) == generations(first), "the same again touches nothing"

    project.helm("upgrade", RELEASE, CHART, "--values", changes(values, tmp_path))
    second = project.objects()
    (deployment,) = (key for key in first if key.kind == "Deployment")
    spec = second[deployment]["spec"]
    assert spec["template"]["spec"]["containers"][0]["image"] == "mirror.example.com/elsewhere/dataops-exporter:9.9.9"
    assert spec["replicas"] == 1 - first[deployment]["spec"]["replicas"]
    assert spec["strategy"]["type"] != first[deployment]["spec"]["strategy"]["type"]
    assert spec["selector"] == first[deployment]["spec"]["selector"]
    assert not [key for key in second if key.kind == "PodDisruptionBudget"]
    assert project.judged(project.pod()) == (201, "")

    project.helm("rollback", RELEASE, "1")
    third = project.objects()
    assert third[deployment]["spec"] == first[deployment]["spec"]
    assert wanted(third) == wanted(first)
    service = Key("Service", deployment.name)
    assert third[service]["spec"]["clusterIP"] == first[service]["spec"]["clusterIP"]

    project.helm("uninstall", RELEASE)
    assert set(project.all()) == project.before


def test_without_settings_nothing_is_installed(project: Project) -> None:
    done = project.try_helm("install", RELEASE, CHART)
    assert done.returncode != 0
    assert "nothing to watch" in done.stderr
    assert set(project.all()) == project.before


@FOR_EACH
def test_restricted_admits_the_pods(values: Path, project: Project) -> None:
    project.helm("install", RELEASE, CHART, "--values", values)
    assert project.judged(project.pod()) == (201, "")
    (test,) = loaded(project.helm("get", "hooks", RELEASE))
    assert project.judged(test) == (201, "")


Weaker = Callable[[Resource, Resource], object]
WEAKER: dict[str, Weaker] = {
    "privileged": lambda pod, own: own.update(privileged=True, allowPrivilegeEscalation=True),
    "escalation": lambda pod, own: own.update(allowPrivilegeEscalation=True),
    "capabilities kept": lambda pod, own: own.pop("capabilities"),
    "capability added": lambda pod, own: own["capabilities"].update(add=["NET_ADMIN"]),
    "root": lambda pod, own: own.update(runAsUser=0),
    "root not refused": lambda pod, own: (own.pop("runAsNonRoot"), pod["securityContext"].pop("runAsNonRoot")),
    "no seccomp": lambda pod, own: pod["securityContext"].pop("seccompProfile"),
    "host's network": lambda pod, own: pod.update(hostNetwork=True),
    "host's files": lambda pod, own: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
}


def test_restricted_refuses_weaker_ones(project: Project) -> None:
    """What the chart sets is needed: without each of it the same pod does not come in."""
    project.helm("install", RELEASE, CHART, "--values", CHART / "ci/default-values.yaml")
    for name, weaken in WEAKER.items():
        pod = project.pod()
        weaken(pod["spec"], pod["spec"]["containers"][0]["securityContext"])
        status, message = project.judged(pod)
        assert (status, 'violates PodSecurity "restricted' in message) == (403, True), (name, message)


def test_a_new_version_leaves_selectors_alone(project: Project, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(CHART, newer)
    about = yaml.safe_load((newer / "Chart.yaml").read_text())
    (newer / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "9.1.0", "appVersion": "9.2.0"}))
    values = CHART / "ci/openshift-values.yaml"
    project.helm("install", RELEASE, CHART, "--values", values)
    old = project.objects()
    project.helm("upgrade", RELEASE, newer, "--values", values)
    new = project.objects()

    assert set(new) == set(old)
    selecting = 0
    for key, thing in new.items():
        selector = "podSelector" if key.kind == "NetworkPolicy" else "selector"
        if selector in thing.get("spec", {}):
            assert thing["spec"][selector] == old[key]["spec"][selector], key
            selecting += 1
        assert thing["metadata"]["labels"]["app.kubernetes.io/version"] == "9.2.0", key
        assert thing["metadata"]["labels"]["helm.sh/chart"] == "dataops-exporter-9.1.0", key
    assert selecting == len({"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"})
    assert project.deployment()["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":9.2.0")

    path = f"{project.server.path(project.deployment() | DEPLOYMENT, project.name)}/{RELEASE}-dataops-exporter"
    other = {"spec": {"selector": {"matchLabels": {"app.kubernetes.io/version": "9.2.0"}}}}
    answer = project.server.ask("PATCH", path, other)
    assert answer.status == 422
    assert "field is immutable" in answer.body["message"]


DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment"}
SECRET = {"apiVersion": "v1", "kind": "Secret"}


def test_a_secret_that_changed_rolls_the_pod_out_at_the_next_upgrade(project: Project) -> None:
    values = CHART / "ci/secrets-values.yaml"
    secret = {**SECRET, "metadata": {"name": "kafka-user"}, "stringData": {"KAFKA_USER": "ana"}}
    project.server.make(secret, project.name)
    project.before = set(project.all())
    upgrade = partial(project.helm, "upgrade", "--install", RELEASE, CHART, "--values", values)
    annotations = []
    for user in ("ana", "ana", "ben"):
        path = f"{project.server.path(SECRET, project.name)}/kafka-user"
        assert project.server.ask("PATCH", path, {"stringData": {"KAFKA_USER": user}}).status == 200
        upgrade()
        annotations.append(project.deployment()["spec"]["template"]["metadata"]["annotations"])
    assert annotations[0] == annotations[1] != annotations[2]
    assert {name for name in annotations[0] if annotations[0][name] != annotations[2][name]} == {"checksum/secrets"}


def test_what_openshift_puts_into_the_authorities_stays(project: Project, tmp_path: Path) -> None:
    values = CHART / "ci/openshift-values.yaml"
    project.helm("install", RELEASE, CHART, "--values", values)
    (authorities,) = (
        thing
        for thing in project.objects().values()
        if "config.openshift.io/inject-trusted-cabundle" in thing["metadata"]["labels"]
    )
    name = authorities["metadata"]["name"]
    path = f"{project.server.path({'apiVersion': 'v1', 'kind': 'ConfigMap'}, project.name)}/{name}"
    put = {"ca-bundle.crt": "-----BEGIN CERTIFICATE-----"}
    assert project.server.ask("PATCH", path, {"data": put}).status == 200
    project.helm("upgrade", RELEASE, CHART, "--values", changes(values, tmp_path))
    assert project.server.get(path)["data"] == put
    project.helm("rollback", RELEASE, "1")
    assert project.server.get(path)["data"] == put


def test_the_manifest_for_a_central_prometheus_is_taken(project: Project) -> None:
    resources = loaded((ROOT / "deploy/monitoring/onboarding.yaml").read_text())
    assert {resource["kind"] for resource in resources} == {"ServiceMonitor", "PrometheusRule", "AlertmanagerConfig"}
    for resource in resources:
        resource["metadata"]["namespace"] = project.name
        assert project.judged(resource) == (201, "")

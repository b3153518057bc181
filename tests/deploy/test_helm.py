"""The Helm chart: valid by the tools and the schemas of Kubernetes, safe by default, and of one word with the code."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autodev_gateway.settings import GatewaySettings
from autodev_learning.evolution import consumers as evolution
from autodev_learning.memento import consumers as memento
from autodev_runtime.peers import CALLERS, name_of
from autodev_runtime.settings import ServiceSettings
from autodev_sandbox.execution import MIB, Limits
from autodev_sandbox.settings import SandboxSettings
from autodev_sdk.channel import RESOLUTION_OPTIONS
from docs import build_dashboard as dashboard
from docs.build_settings import SERVICES
from tests.conftest import require

REPOSITORY = Path(__file__).parents[2]
HELM_FOLDER = REPOSITORY / "deploy/helm"
CHART = HELM_FOLDER / "autodev"
KUBERNETES = "1.34.0"
VALIDATOR = "kubernetes-validate==1.37.0"
RELEASE = "mesh"
PREFIX = "mesh-autodev-"
SERVICE_BYTES = 256 * MIB
IDLE_SANDBOX_BYTES = 32 * MIB
"""Ample: docs/performance.md has 41 MiB for the service, and 33 for what its sandboxes are forked from."""
ENDING_S = 20
"""For what a service does after its last call: it publishes, and closes what it holds."""
CLUSTER_DNS_TTL_S = 5
"""For how long an answer of CoreDNS' `kubernetes` plugin may be kept, by default."""
# Kinds that others define, whose schemas Kubernetes does not have.
FOREIGN = {"Certificate", "ServiceMonitor"}
EVERYTHING = (
    "certificates.certManager.enabled=true",
    "telemetry.serviceMonitor.enabled=true",
    "telemetry.otlpEndpoint=http://collector:4317",
    "eventLog.engine=jetstream",
    "eventLog.natsUrl=nats://nats:4222",
    "eventLog.natsMonitorUrls=http://nats:8222",
    "eventLog.natsCredentialsSecret=nats",
    "gateway.webhooks.secret=webhooks",
    "gateway.webhooks.senders[0].namespaceSelector.matchLabels.name=ingress",
    "networkPolicy.scrapers[0].namespaceSelector.matchLabels.name=monitoring",
    "services.sandbox.extraSecrets={extensions,more}",
    "services.sandbox.egress[0].ports[0].port=7443",
)

Manifest = dict[str, Any]


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    require(shutil.which("helm"), "helm is not installed (go install helm.sh/helm/v3/cmd/helm@v3.22.0)")
    command = ["helm", *arguments, "--kube-version", KUBERNETES]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def rendered(*values: str, values_file: Path | None = None) -> list[Manifest]:
    """What Kubernetes would be given."""
    stated = [word for value in values for word in ("--set", value)]
    if values_file is not None:
        stated += ["--values", str(values_file)]
    done = helm("template", RELEASE, str(CHART), *stated)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


@pytest.fixture(scope="module")
def default() -> list[Manifest]:
    return rendered()


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """By service."""
    found = [each for each in manifests if each["kind"] == kind]
    return {each["metadata"]["name"].removeprefix(PREFIX): each for each in found}


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for kind in ("Deployment", "Job"):
        for name, manifest in of_kind(manifests, kind).items():
            yield name, manifest["spec"]["template"]["spec"]


def test_helm_finds_nothing_to_say() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", [(), EVERYTHING, ("autoscaling.by=cpu",)], ids=["default", "everything", "cpu"])
def test_every_manifest_is_as_the_schemas_of_kubernetes_have_it(values: tuple[str, ...], tmp_path: Path) -> None:
    own = [each for each in rendered(*values) if each["kind"] not in FOREIGN]
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(own))
    uv = str(Path(sys.executable).parent / "uv")
    command = [uv, "tool", "run", "--quiet", "--from", VALIDATOR, "kubernetes-validate", "--strict", "-k", KUBERNETES]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(" passed ") == len(own)


def test_no_pod_has_more_than_it_needs(default: list[Manifest]) -> None:
    assert {name for name, _ in pods(default)} == {*CALLERS, "migrate"}
    for name, pod in pods(default):
        assert pod["securityContext"]["runAsNonRoot"], name
        # The sandbox's lets it make namespaces and nothing else that its nodes' default forbids.
        profile = {"type": "Localhost", "localhostProfile": "autodev-sandbox.json"}
        assert pod["securityContext"]["seccompProfile"] == (
            profile if name == "sandbox" else {"type": "RuntimeDefault"}
        )
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def test_the_sandbox_has_room_for_all_the_executions_that_it_runs_at_a_time(
    default: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many as the machine has cores would be for one that has few.
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    for variable, value in of_kind(default, "ConfigMap")["sandbox"]["data"].items():
        monkeypatch.setenv(variable, value)
    settings = SandboxSettings()
    pod = of_kind(default, "Deployment")["sandbox"]["spec"]["template"]["spec"]
    (tmp,) = [bytes_of(volume["emptyDir"]["sizeLimit"]) for volume in pod["volumes"] if volume["name"] == "tmp"]
    executions = settings.slots + settings.spare_slots
    waiting = max(settings.namespace_pool_floor, settings.namespace_ceiling - executions)
    taken = (
        executions * (settings.max_memory_bytes + Limits().tmp_bytes)
        + waiting * IDLE_SANDBOX_BYTES
        + tmp
        + SERVICE_BYTES
    )
    assert taken <= bytes_of(pod["containers"][0]["resources"]["limits"]["memory"])


def bytes_of(quantity: str) -> int:
    """A quantity of Kubernetes."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * {"Mi": 1024**2, "Gi": 1024**3}[unit]


def test_a_service_is_given_its_own_secrets_alone(default: list[Manifest]) -> None:
    for name, pod in pods(default):
        for container in pod["containers"]:
            assert not [each for each in container.get("env", []) if "secretKeyRef" in json.dumps(each)]
        if name == "migrate":
            continue
        keys = {item["key"] for volume in pod["volumes"] for item in volume.get("secret", {}).get("items", [])}
        assert keys == (set() if name == "sandbox" else {name})
        mesh = next(volume["secret"]["secretName"] for volume in pod["volumes"] if volume["name"] == "mesh")
        assert mesh == f"autodev-mesh-{name}"
    assert not of_kind(default, "Secret")


def test_every_pod_tells_how_it_is(default: list[Manifest]) -> None:
    for name, pod in pods(default):
        if name == "migrate":
            continue
        (container,) = pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        door = ports.get("internal", ports["grpc"])
        probe = ["python3", "-m", "autodev_runtime.probe", f"127.0.0.1:{door}", name]
        assert container["startupProbe"]["exec"]["command"] == probe
        assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
        assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
        # One that is slow for a while is not restarted.
        assert container["livenessProbe"]["periodSeconds"] * container["livenessProbe"]["failureThreshold"] >= 30
        stated = of_kind(default, "ConfigMap")[name]["data"]
        assert stated[f"AUTODEV_{name.upper()}_METRICS_HOST"] == "0.0.0.0"
        assert stated[f"AUTODEV_{name.upper()}_METRICS_PORT"] == str(ports["metrics"])


def test_a_disruption_takes_one_replica_at_a_time_and_leaves_another(default: list[Manifest]) -> None:
    budgets, scalers = of_kind(default, "PodDisruptionBudget"), of_kind(default, "HorizontalPodAutoscaler")
    assert set(budgets) == set(scalers) == set(CALLERS)
    for name, budget in budgets.items():
        assert budget["spec"]["maxUnavailable"] == 1
        # One that is not ready serves nobody, and must not hold its node up.
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert budget["spec"]["selector"] == of_kind(default, "Deployment")[name]["spec"]["selector"]
        assert scalers[name]["spec"]["minReplicas"] >= 2


def test_a_rollout_takes_no_replica_before_callers_can_know_the_new_one(default: list[Manifest]) -> None:
    looked_up_again_s = dict(RESOLUTION_OPTIONS)["grpc.dns_min_time_between_resolutions_ms"] / 1000
    for name, manifest in of_kind(default, "Deployment").items():
        assert manifest["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}, name
        assert manifest["spec"]["minReadySeconds"] >= CLUSTER_DNS_TTL_S + looked_up_again_s, name


@pytest.mark.parametrize(
    ("stated", "drain_s"), [("", ServiceSettings.model_fields["drain_s"].default), ("60", 60), ("90.5", 90.5)]
)
def test_a_replica_is_given_the_time_that_it_drains_for(stated: str, drain_s: float) -> None:
    manifests = rendered(*([f"services.gateway.settings.drain_s={stated}"] if stated else []))
    for name, manifest in of_kind(manifests, "Deployment").items():
        grace_s = manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        own_s = drain_s if name == "gateway" else ServiceSettings.model_fields["drain_s"].default
        assert grace_s >= own_s + ENDING_S, name


def test_a_setting_restarts_its_own_service_alone(default: list[Manifest]) -> None:
    changed = rendered("services.sandbox.settings.slots=3")
    before, after = (
        {name: each["spec"]["template"] for name, each in of_kind(manifests, "Deployment").items()}
        for manifests in (default, changed)
    )
    assert {name for name in CALLERS if before[name] != after[name]} == {"sandbox"}


def test_services_scale_by_metrics_that_they_have(default: list[Manifest]) -> None:
    page = (REPOSITORY / "docs/metrics.md").read_text()
    rules = yaml.safe_load((HELM_FOLDER / "prometheus-adapter.yaml").read_text())["rules"]
    series = {}
    for rule in (*rules["custom"], *rules["external"]):
        measured = re.match(r"[a-z_]+", rule["seriesQuery"])
        assert measured
        series[rule.get("name", {}).get("as", measured[0])] = measured[0]
    for name, scaler in of_kind(default, "HorizontalPodAutoscaler").items():
        (metric,) = scaler["spec"]["metrics"]
        source = metric[metric["type"].lower()]["metric"]["name"]
        assert f"`{series[source]}`" in page, name
    by_cpu = of_kind(rendered("autoscaling.by=cpu"), "HorizontalPodAutoscaler")
    assert {each["spec"]["metrics"][0]["resource"]["name"] for each in by_cpu.values()} == {"cpu"}


def test_a_metrics_own_labels_stay_as_the_dashboard_and_the_alerts_ask_for_them() -> None:
    # Prometheus has given targets a label `service` of its own, and would call the metric's `exported_service`.
    assert 'service="gateway"' in dashboard.text().replace("\\", "")
    (monitor,) = of_kind(rendered(*EVERYTHING), "ServiceMonitor").values()
    assert [endpoint["honorLabels"] for endpoint in monitor["spec"]["endpoints"]] == [True]


def test_learning_scales_by_the_lag_of_its_own_groups(default: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    for consumers in (memento, evolution):
        monkeypatch.setattr(consumers, "patient_worker", lambda _gateway, _patience_s, name, *_rest: name)
    nothing: Any = None
    names = [
        *memento.memento_workers(*[nothing] * 5, proposals_at_a_time=1, patience_s=1),
        *evolution.evolution_workers(*[nothing] * 6, patience_s=1),
    ]
    (metric,) = of_kind(default, "HorizontalPodAutoscaler")["learning"]["spec"]["metrics"]
    (wanted,) = metric["external"]["metric"]["selector"]["matchExpressions"]
    assert (wanted["key"], wanted["operator"]) == ("group", "In")
    assert wanted["values"] == sorted(f"learning.{name}" for name in names)
    page = (REPOSITORY / "docs/metrics.md").read_text()
    assert f"| `autodev_group_lag_seconds` | gauge | `{wanted['key']}` |" in page


def test_the_adapter_asks_for_what_the_autoscalers_select() -> None:
    rules = yaml.safe_load((HELM_FOLDER / "prometheus-adapter.yaml").read_text())["rules"]
    for rule in (*rules["custom"], *rules["external"]):
        assert "<<.Series>>{<<.LabelMatchers>>}" in rule["metricsQuery"]
        assert rule["resources"]["overrides"]["namespace"] == {"resource": "namespace"}
    # More than one answer is added up.
    assert {rule["metricsQuery"] for rule in rules["external"]} == {"max(<<.Series>>{<<.LabelMatchers>>})"}


def test_the_network_lets_through_what_the_services_let_through(default: list[Manifest]) -> None:
    policies = of_kind(default, "NetworkPolicy")
    everywhere = policies.pop("deny")["spec"]
    assert set(everywhere) == {"podSelector", "policyTypes"}
    assert everywhere["policyTypes"] == ["Ingress", "Egress"]
    assert set(policies) == {*CALLERS, "migrate"}
    into: dict[str, set[str]] = {}
    out: dict[str, set[str]] = {name: set() for name in CALLERS}
    for name in CALLERS:
        spec = policies[name]["spec"]
        assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == name
        into[name] = {component for rule in spec["ingress"] for component in components(rule["from"])}
        for rule in spec["egress"]:
            for callee in components(rule.get("to", [])):
                out[callee].add(name)
    assert into == out == {name: set(callers) for name, callers in CALLERS.items()}
    # It runs code that nobody has read: no database, no names, no way out.
    assert policies["sandbox"]["spec"]["egress"] == []
    assert "ingress" not in policies["migrate"]["spec"]


def test_ports_are_those_of_the_addresses() -> None:
    manifests = rendered(
        *EVERYTHING,
        "telemetry.otlpEndpoint=http://collector:14317",
        "eventLog.natsUrl=nats://one:4223\\, tls://two\\,nats://three:4223",
        "eventLog.natsMonitorUrls=http://one:8223\\,https://two/",
    )
    policies = of_kind(manifests, "NetworkPolicy")
    assert outside(policies["learning"]) == {5432, 14317}
    assert outside(policies["sandbox"]) == {14317, 7443}
    assert outside(policies["gateway"]) == {5432, 14317, 4223, 4222, 8223, 443}
    usual = rendered(*EVERYTHING, "telemetry.otlpEndpoint=https://collector", "eventLog.natsMonitorUrls=http://nats")
    assert outside(of_kind(usual, "NetworkPolicy")["gateway"]) == {5432, 443, 4222, 80}


def test_names_are_asked_for_where_the_values_say(default: list[Manifest]) -> None:
    cache = {"ipBlock": {"cidr": "169.254.20.10/32"}}
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    elsewhere = rendered(
        "networkPolicy.dns.ports={53,5353}", f"networkPolicy.dns.peers[0].ipBlock.cidr={cache['ipBlock']['cidr']}"
    )
    for manifests, ports, peer in ((default, [53], system), (elsewhere, [53, 5353], cache)):
        policies = of_kind(manifests, "NetworkPolicy")
        for name in ("gateway", "capability", "learning", "fitness", "migrate"):
            rules = [rule for rule in policies[name]["spec"]["egress"] if rule.get("to") == [peer]]
            asked = [{"protocol": protocol, "port": port} for port in ports for protocol in ("UDP", "TCP")]
            assert [rule["ports"] for rule in rules] == [asked], name


def test_what_the_migration_may_reach_is_there_before_it(default: list[Manifest]) -> None:
    job, policy = of_kind(default, "Job")["migrate"], of_kind(default, "NetworkPolicy")["migrate"]
    hooks = [each["metadata"]["annotations"] for each in (policy, job)]
    assert len({each["helm.sh/hook"] for each in hooks}) == 1
    first, then = (int(each.get("helm.sh/hook-weight", 0)) for each in hooks)
    assert first < then
    assert not {"Job", "NetworkPolicy"} & set(kinds_of("migrate", rendered("migrate.enabled=false")))


def kinds_of(component: str, manifests: list[Manifest]) -> list[str]:
    """What kinds of things are made for a part of the release."""
    labels = "app.kubernetes.io/component"
    return [each["kind"] for each in manifests if each["metadata"].get("labels", {}).get(labels) == component]


def outside(policy: Manifest) -> set[int]:
    """The ports, but for names', that a policy lets a service reach wherever they are."""
    rules = [rule for rule in policy["spec"]["egress"] if "to" not in rule]
    return {port["port"] for rule in rules for port in rule["ports"]}


@pytest.mark.parametrize("page", ["llm.md", "deployment.md"])
def test_a_service_is_given_the_secrets_and_the_ways_out_that_the_pages_tell_of(page: str, tmp_path: Path) -> None:
    (block,) = re.findall(r"^    services:\n(?:     .+\n)+", (REPOSITORY / "docs" / page).read_text(), re.MULTILINE)
    ((service, stated),) = yaml.safe_load(block)["services"].items()
    file = tmp_path / "values.yaml"
    file.write_text(block)
    manifests = rendered(values_file=file)
    for name, manifest in of_kind(manifests, "Deployment").items():
        pod = manifest["spec"]["template"]["spec"]
        names = [volume["secret"]["secretName"] for volume in pod["volumes"] if volume["name"].startswith("extra-")]
        assert names == (stated["extraSecrets"] if name == service else [])
        if name == service:
            (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "extra-0"]
            assert (mount["mountPath"], mount["readOnly"]) == (f"/run/autodev/extra/{names[0]}", True)
            assert any(str(value).startswith(mount["mountPath"]) for value in stated["settings"].values())
    for name, policy in of_kind(manifests, "NetworkPolicy").items():
        for rule in stated["egress"]:
            assert (rule in policy["spec"].get("egress", [])) == (name == service)
    config = of_kind(manifests, "ConfigMap")[service]["data"]
    assert all(f"AUTODEV_{service.upper()}_{setting.upper()}" in config for setting in stated["settings"])


def components(peers: list[Manifest]) -> set[str]:
    labels = [peer.get("podSelector", {}).get("matchLabels", {}) for peer in peers]
    return {each["app.kubernetes.io/component"] for each in labels if "app.kubernetes.io/component" in each}


def test_callers_find_every_replica_by_its_services_name(default: list[Manifest]) -> None:
    services, settings = of_kind(default, "Service"), of_kind(default, "ConfigMap")
    for callee, callers in CALLERS.items():
        assert services[callee]["spec"]["clusterIP"] == "None"
        ports = {port["name"]: port["port"] for port in services[callee]["spec"]["ports"]}
        for caller in callers:
            address = settings[caller]["data"][f"AUTODEV_{caller.upper()}_{callee.upper()}_ADDRESS"]
            door = ports.get("internal", ports["grpc"])
            assert address == f"dns:///{PREFIX}{callee}.default.svc:{door}"


def test_the_gateway_takes_what_the_chart_gives_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTODEV_SECRETS_DIR", str(tmp_path))
    (tmp_path / "autodev_gateway_database_url").write_text("postgresql+asyncpg://autodev_gateway:secret@db/autodev\n")
    for variable, value in of_kind(rendered(*EVERYTHING), "ConfigMap")["gateway"]["data"].items():
        if variable != "AUTODEV_SECRETS_DIR":
            monkeypatch.setenv(variable, value)
    settings = GatewaySettings()
    assert settings.database_url.endswith("secret@db/autodev")
    assert settings.mesh_files is not None
    assert settings.public_files is not None
    assert (settings.webhook_host, settings.webhook_port) == ("0.0.0.0", 8080)


def test_values_hold_what_a_service_can_be_told_but_no_secret_and_nothing_twice() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["services"]["properties"]
    plain = rendered(*EVERYTHING, "gateway.tlsSecret=", "gateway.allowPlaintext=true")
    for service, settings in SERVICES.items():
        allowed = set(schema[service]["properties"]["settings"]["properties"])
        secret = {name for name, field in settings.model_fields.items() if "Secret" in str(field.annotation)}
        own = {
            variable.removeprefix(f"AUTODEV_{service.upper()}_").removeprefix("AUTODEV_").lower()
            for manifests in (rendered(*EVERYTHING), plain)
            for variable in of_kind(manifests, "ConfigMap")[service]["data"]
        }
        own -= set(yaml.safe_load((CHART / "values.yaml").read_text())["services"][service]["settings"])
        assert allowed <= set(settings.model_fields)
        assert not allowed & (secret | own | {"database_url", "database_all_tenants_url"}), service
        addresses = {name for name in settings.model_fields if name.endswith("_address")}
        left_out = set(settings.model_fields) - allowed - secret - own - addresses
        # Packages are the image's.
        assert left_out <= {"database_url", "database_all_tenants_url", *({"packages"} if service == "sandbox" else ())}
    allowed = set(schema["learning"]["properties"]["settings"]["properties"])
    assert {"llm_api_key_file", "llm_base_url", "skill_signing_key_file", "extensions"} <= allowed


@pytest.mark.parametrize("value", [2, 1_000_000, 10_737_418_240, 0.25, True, "x"])
def test_a_setting_of_a_values_file_comes_to_the_service_as_it_was_written(value: Any, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps({"services": {"gateway": {"settings": {"retention_bytes": value}}}}))
    config = of_kind(rendered(values_file=file), "ConfigMap")["gateway"]
    assert config["data"]["AUTODEV_GATEWAY_RETENTION_BYTES"] == (value if value == "x" else json.dumps(value))


def test_a_share_of_traces_comes_to_one_service_by_the_name_it_has_for_all(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps({"services": {"gateway": {"settings": {"trace_ratio": 0.25}}}}))
    configs = of_kind(rendered(values_file=file), "ConfigMap")
    assert {name: each["data"].get("AUTODEV_TRACE_RATIO") for name, each in configs.items()} == {
        **dict.fromkeys(configs, None),
        "gateway": "0.25",
    }


def test_webhooks_come_in_where_a_secret_names_their_sources_and_from_who_is_named(default: list[Manifest]) -> None:
    assert "8080" not in json.dumps(default)
    manifests = rendered(*EVERYTHING)
    public = next(each for each in manifests if each["kind"] == "Service" and each["metadata"]["name"] == PREFIX[:-1])
    assert {"name": "webhooks", "port": 8080, "targetPort": "webhooks", "appProtocol": "https"} in public["spec"][
        "ports"
    ]
    ingress = of_kind(manifests, "NetworkPolicy")["gateway"]["spec"]["ingress"]
    (sources,) = [rule["from"] for rule in ingress if rule["ports"] == [{"protocol": "TCP", "port": 8080}]]
    assert sources == [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}]
    pod = of_kind(manifests, "Deployment")["gateway"]["spec"]["template"]["spec"]
    assert {"name": "webhooks", "secret": {"secretName": "webhooks", "defaultMode": 0o440}} in pod["volumes"]


def test_certificates_are_for_the_names_that_services_check() -> None:
    made = of_kind(rendered(*EVERYTHING), "Certificate")
    assert {name: each["spec"]["dnsNames"] for name, each in made.items()} == {n: [name_of(n)] for n in CALLERS}


def test_migration_comes_before_the_pods_and_alone_knows_the_owner(default: list[Manifest]) -> None:
    job = of_kind(default, "Job")["migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    holders = [each["metadata"]["name"] for each in default if "autodev-database-owner" in json.dumps(each)]
    assert holders == [f"{PREFIX}migrate"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("database.password=x", "password"),
        ("services.gateway.settings.database_url=x", "database_url"),
        ("services.learning.settings.llm_api_key=x", "llm_api_key"),
        ("services.learning.settings.patern_threshold=3", "patern_threshold"),
        ("services.sandbox.settings.levels[0]=namespace", "levels"),
        ("services.sandbox.settings.packages=six==1.17.0", "packages"),
        ("services.gateway.replicas.min=12", "services.gateway.replicas: min is greater than max"),
        ("gateway.tlsSecret=", "allowPlaintext"),
        ("services.sandbox.seccompProfile.type=None", "seccompProfile"),
        ("eventLog.engine=jetstream", "natsUrl"),
    ],
)
def test_values_that_would_be_wrong_or_unsafe_are_refused(value: str, told: str) -> None:
    done = helm("template", RELEASE, str(CHART), "--set", value)
    assert done.returncode != 0
    assert told in done.stderr

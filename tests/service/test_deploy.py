"""What is deployed beside the service: alerts that fire and stay silent, a dashboard, and names that exist."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.ledger.metrics import METRICS

_NAME = re.compile(r"\bplumbline(?:_\w+|:[\w:]+)")
_SELECTOR = re.compile(r"\b(plumbline_\w+)\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")


@pytest.fixture(scope="module")
def deploy(repo_root: Path) -> Path:
    return repo_root / "deploy"


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def labels_by_series() -> dict[str, set[str]]:
    """What every series of the service may be selected by."""
    found: dict[str, set[str]] = {}
    for metric in METRICS:
        if metric.kind == "histogram":
            found |= {metric.name + suffix: {*metric.labels, "le"} for suffix in _OF_HISTOGRAMS}
        else:
            found[metric.name] = set(metric.labels)
    return found


def rules(deploy: Path) -> list[dict[str, Any]]:
    return [rule for group in loaded(deploy / "prometheus" / "alerts.yml")["groups"] for rule in group["rules"]]


def alerts(deploy: Path) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules(deploy) if "alert" in rule}


def panels(deploy: Path) -> Iterator[dict[str, Any]]:
    for path in (deploy / "grafana" / "dashboards").glob("*.json"):
        yield from json.loads(path.read_text("utf-8"))["panels"]


def expressions(deploy: Path) -> list[str]:
    """Of rules, of panels, and the series that the rules are tested with."""
    found = [rule["expr"] for rule in rules(deploy)]
    found += [target["expr"] for panel in panels(deploy) for target in panel.get("targets", ())]
    tests = loaded(deploy / "prometheus" / "alerts_test.yml")["tests"]
    return found + [series["series"] for test in tests for series in test["input_series"]]


def unknown(expression: str, recorded: set[str]) -> list[str]:
    """Names and labels in an expression that nothing gives."""
    known = labels_by_series()
    names = [name for name in _NAME.findall(expression) if name not in known and name not in recorded]
    names = [name for name in names if not expression.startswith(f'up{{job="{name}"')]
    labels = [
        f"{series}{{{label}}}"
        for series, selected in _SELECTOR.findall(expression)
        for label in _LABEL.findall(re.sub(r'"[^"]*"', "", selected))
        if series in known and label not in known[series] | {"instance", "job"}
    ]
    return names + labels


def test_every_name_and_label_exists(deploy: Path) -> None:
    recorded = {rule["record"] for rule in rules(deploy) if "record" in rule}
    found = expressions(deploy)

    assert len(found) > 100
    assert [wrong for expression in found for wrong in unknown(expression, recorded)] == []


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("rate(plumbline_relevance_totals[5m])", ["plumbline_relevance_totals"]),
        ('plumbline_relevance_total{verdict="weak"}', ["plumbline_relevance_total{verdict}"]),
        ("plumbline_stage_seconds", ["plumbline_stage_seconds"]),
        ("plumbline:never:recorded", ["plumbline:never:recorded"]),
        ('plumbline_stage_seconds_bucket{le="1", stage=~"total"}', []),
    ],
)
def test_a_name_that_does_not_exist_is_found(expression: str, wrong: list[str]) -> None:
    assert unknown(expression, set()) == wrong


def test_every_signal_of_a_window_exists(deploy: Path) -> None:
    from service.ledger.tallies import RATES_OF_ALL, RATES_OF_ANSWERS

    named = {name for one in expressions(deploy) for name in re.findall(r'window_signal\{signal="(\w+)"', one)}

    assert named
    assert named <= RATES_OF_ALL.keys() | RATES_OF_ANSWERS.keys()


def test_every_alert_is_tested_both_ways_and_documented(deploy: Path, repo_root: Path) -> None:
    tests = loaded(deploy / "prometheus" / "alerts_test.yml")["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    page = (repo_root / "docs" / "quality" / "signals.md").read_text("utf-8")
    headings = {line.removeprefix("### ").strip() for line in page.splitlines() if line.startswith("### ")}

    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts(deploy).keys()
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts(deploy).keys()
    assert alerts(deploy).keys() <= headings
    for name, alert in alerts(deploy).items():
        assert alert["annotations"]["runbook"] == f"docs/quality/signals.md#{name.lower()}"


def test_panels_ask_the_provisioned_datasource_and_do_not_overlap(deploy: Path) -> None:
    (datasource,) = loaded(deploy / "grafana" / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in panels(deploy)]

    assert len(ids) == len(set(ids)) > 20
    for panel in panels(deploy):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == datasource["uid"]
    assert max(x for x, _ in taken) == 23


def test_compose_starts_monitoring_only_if_asked_and_on_loopback(deploy: Path, repo_root: Path) -> None:
    compose = loaded(repo_root / "docker-compose.yml")
    monitoring = {name: one for name, one in compose["services"].items() if one.get("profiles") == ["monitoring"]}

    assert monitoring.keys() == {"prometheus", "grafana"}
    for service in monitoring.values():
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"]), "a version of its own, not `latest`"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for mount in service["volumes"]:
            host, _, inside = mount.partition(":")
            if host.startswith("./"):
                assert inside.endswith(":ro")
                assert (repo_root / host).is_dir()
            else:
                assert host in compose["volumes"]
    scrape = loaded(deploy / "prometheus" / "prometheus.yml")["scrape_configs"][0]
    (secret,) = monitoring["prometheus"]["secrets"]
    assert scrape["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert scrape["dns_sd_configs"][0]["names"] == ["api"]
    ignored = (repo_root / ".gitignore").read_text("utf-8").splitlines()
    assert compose["secrets"][secret]["file"].endswith("./deploy/prometheus/metrics.key}")
    assert "deploy/prometheus/metrics.key" in ignored, "a key must not be committed"


@pytest.mark.promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool(deploy: Path, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=deploy / "prometheus", capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.promtool
def test_every_panel_asks_what_prometheus_understands(deploy: Path, tmp_path: Path) -> None:
    asked = [target["expr"] for panel in panels(deploy) for target in panel.get("targets", ())]
    recorded = [{"record": f"panel:{n}", "expr": one.replace("$__rate_interval", "1m")} for n, one in enumerate(asked)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))

    done = subprocess.run(
        ["promtool", "check", "rules", "panels.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert f"{len(asked)} rules found" in done.stdout, done.stdout + done.stderr


@pytest.mark.promtool
def test_a_rule_that_never_fires_fails_its_test(deploy: Path, tmp_path: Path) -> None:
    """So that the tests of the rules are known to be able to fail."""
    for name in ("alerts.yml", "alerts_test.yml"):
        text = (deploy / "prometheus" / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace("plumbline_score_drift) > 0.25", "plumbline_score_drift) > 25"))

    done = subprocess.run(
        ["promtool", "test", "rules", "alerts_test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    assert "PlumblineScoreDrift" in done.stdout + done.stderr

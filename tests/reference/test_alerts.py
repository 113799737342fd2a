"""The alert rules and the dashboard of docs/deploy: they are right, and each alert has its entry in
the runbook. The rules are checked and tried by Prometheus' own promtool."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.servers import ROOT, find_program

DEPLOY = ROOT / "docs/deploy"
RULES = DEPLOY / "alerts.yml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((DEPLOY / "dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
METRICS = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
OF_PROMETHEUS = {"up"}

# Of one host, each 15 s for so long; in promtool's notation: first + step x times.
MINUTES = 80
ALL_IS_WELL = {
    "up{job='chat'}": "1x320",
    "process_start_time_seconds{job='chat'}": "-100000x320",
    "process_open_fds{job='chat'}": "1000x320",
    "process_max_fds{job='chat'}": "65536x320",
    "chat_workers_silent": "0x320",
    "chat_background_task_failures_total{task='lease'}": "3x320",
    "chat_event_loop_lag_seconds_bucket{le='0.25'}": "0+15x320",
    "chat_event_loop_lag_seconds_bucket{le='+Inf'}": "0+15x320",
    "chat_database_up": "1x320",
    "chat_writer_refused_total{reason='unavailable'}": "7x320",
    "chat_writer_refused_total{reason='locked'}": "7x320",
    "chat_writer_refused_total{reason='failed'}": "7x320",
    "chat_writer_commit_seconds_bucket{le='0.5'}": "0+15x320",
    "chat_writer_commit_seconds_bucket{le='+Inf'}": "0+15x320",
    "chat_publish_seconds_bucket{kind='stored',le='0.5'}": "0+15x320",
    "chat_publish_seconds_bucket{kind='stored',le='+Inf'}": "0+15x320",
    "chat_backlog_oldest_seconds{work='outbox'}": "1x320",
    "chat_work_parked_total{work='outbox'}": "2x320",
    "chat_expired_oldest_seconds{rows='messages'}": "600x320",
    "chat_broker_connected": "1x320",
    "chat_broker_failures_total": "1x320",
    "chat_broker_dropped_total{reason='checksum'}": "1x320",
    "chat_broker_dropped_total{reason='unsent'}": "0+1x320",
    "chat_broker_lag_seconds": "0.01x320",
    "chat_gap_repairs_total": "0+1x320",
    "chat_lease_age_seconds": "3x320",
    "chat_lease_seconds": "10x320",
    "chat_lease_losses_total": "1x320",
    "chat_takeovers_total": "1x320",
    "chat_reaper_backlog": "3x320",
    "chat_client_handshakes_total{outcome='accepted'}": "0+50x320",
    "chat_client_handshakes_total{outcome='401'}": "0+5x320",
    "chat_client_handshakes_total{outcome='503'}": "0+1x320",
    "chat_sockets_turned_away_total": "9x320",
    "chat_client_num_client_disconnects_total": "0+20x320",
    "chat_node_num_clients": "2000x320",
    "chat_client_num_server_disconnects_total{code='4410'}": "1x320",
    "chat_client_num_server_disconnects_total{code='4429'}": "1x320",
}
# Of a process that started four minutes ago: it found its predecessor dead, and a task failed.
STARTED = ALL_IS_WELL | {
    "chat_takeovers_total": "_x300 1x20",
    "chat_background_task_failures_total{task='lease'}": "_x300 2x20",
}
NOTHING_IS_WELL = ALL_IS_WELL | {
    "up{job='chat'}": "0x320",
    "process_start_time_seconds{job='chat'}": f"{MINUTES * 60 - 200}x320",
    "process_open_fds{job='chat'}": "60000x320",
    "chat_workers_silent": "1x320",
    "chat_background_task_failures_total{task='lease'}": "0+1x320",
    "chat_event_loop_lag_seconds_bucket{le='0.25'}": "0+14x320",
    "chat_database_up": "0x320",
    "chat_writer_refused_total{reason='unavailable'}": "0+1x320",
    "chat_writer_refused_total{reason='locked'}": "0+1x320",
    "chat_writer_commit_seconds_bucket{le='0.5'}": "0+14x320",
    "chat_writer_commit_seconds_bucket{le='1'}": "0+15x320",
    "chat_publish_seconds_bucket{kind='stored',le='0.5'}": "0+14x320",
    "chat_publish_seconds_bucket{kind='stored',le='1'}": "0+15x320",
    "chat_event_loop_lag_seconds_bucket{le='0.5'}": "0+15x320",
    "chat_backlog_oldest_seconds{work='outbox'}": "100x320",
    "chat_work_parked_total{work='outbox'}": "0+1x320",
    "chat_expired_oldest_seconds{rows='messages'}": "200000x320",
    "chat_broker_connected": "0x320",
    "chat_broker_failures_total": "0+1x320",
    "chat_broker_dropped_total{reason='checksum'}": "0+1x320",
    "chat_broker_lag_seconds": "3x320",
    "chat_gap_repairs_total": "0+100x320",
    "chat_lease_age_seconds": "9x320",
    "chat_lease_losses_total": "0+1x320",
    "chat_takeovers_total": "0+1x320",
    "chat_reaper_backlog": "3000x320",
    "chat_client_handshakes_total{outcome='401'}": "0+500x320",
    "chat_client_handshakes_total{outcome='503'}": "0+100x320",
    "chat_sockets_turned_away_total": "0+1x320",
    "chat_client_num_client_disconnects_total": "0+2000x320",
    "chat_client_num_server_disconnects_total{code='4410'}": "0+1x320",
    "chat_client_num_server_disconnects_total{code='4429'}": "0+1x320",
}


def promtool(*arguments: object) -> None:
    command = [find_program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def names(expression: str) -> set[str]:
    """The metrics that it is made of."""
    found = re.findall(r"\b(?:chat|process)_\w+|\bup\b", re.sub(r"by \([^)]*\)", "", expression))
    return {re.sub("_(bucket|sum|count)$", "", name) for name in found}


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", RULES)


def test_promtool_takes_what_the_dashboard_asks(tmp_path: Path) -> None:
    """Each expression as that of a rule."""
    asked = [re.sub(r"\$__rate_interval", "5m", each) for each in EXPRESSIONS]
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(asked)]
    path = tmp_path / "panels.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "--lint=none", path)


@pytest.mark.parametrize(
    ("series", "firing"),
    [
        (ALL_IS_WELL, []),
        (STARTED, ["ChatProcessDied", "ChatTaskFailed"]),
        (NOTHING_IS_WELL, [rule["alert"] for rule in ALERTS]),
    ],
    ids=["none", "before it was scraped", "all"],
)
def test_what_fires(series: dict[str, str], firing: list[str], tmp_path: Path) -> None:
    fires = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing]
    query = 'group by (alertname) (ALERTS{alertstate="firing"})'
    test = {"expr": query, "eval_time": f"{MINUTES - 1}m", "exp_samples": fires}
    case: dict[str, Any] = {"interval": "15s", "promql_expr_test": [test]}
    case["input_series"] = [{"series": each, "values": of} for each, of in series.items()]
    path = tmp_path / "tests.yml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "tests": [case]}))
    promtool("test", "rules", path)


def test_each_alert_has_its_entry_in_the_runbook() -> None:
    page = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    _, faults, *entries = re.split(r"^## ", page, flags=re.MULTILINE)
    alerts = {rule["alert"] for rule in ALERTS}
    assert set(re.findall(r"Chat[A-Z]\w+", faults)) <= alerts
    assert [entry.partition("\n")[0] for entry in entries] == [rule["alert"] for rule in ALERTS]
    for entry in entries:
        assert re.findall(r"^- \*\*(.*?)\*\*", entry, re.MULTILINE) == ["Means", "Look at", "Do"]


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    for expression in (*EXPRESSIONS, *(rule["expr"] for rule in ALERTS)):
        assert names(expression)
        assert names(expression) <= METRICS | OF_PROMETHEUS, expression

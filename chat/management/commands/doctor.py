"""`manage.py doctor`: what is wrong with this site, why that matters, and what to do."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import pluralize

from chat.doctor.broker import broker
from chat.doctor.database import database
from chat.doctor.findings import PROBE_SECONDS, Finding, Level, Probe, Version, examine
from chat.doctor.host import host
from chat.doctor.proxy import LOOK_SECONDS, proxy
from chat.doctor.settings import configuration, static_files

PROBES: Final[dict[str, Probe]] = {
    "settings": configuration,
    "static files": static_files,
    "database": database,
    "broker": broker,
    "host": host,
}

MAX_SECONDS: Final = 600


class Command(BaseCommand):
    help = (
        "Looks at settings, keys, database, broker, this host and, with --url, the proxy. Says what"
        " is wrong, why that matters and what to do. Exits with 0: healthy, 1: warnings, 2: errors."
    )
    requires_system_checks = ()  # they are findings

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--url", help="the site's own address, through its proxy: https://chat.example.org")
        add(
            "--timeout",
            type=float,
            default=PROBE_SECONDS,
            metavar="S",
            help="seconds that each part may take (default: %(default)g; more with --url)",
        )
        add("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: object, url: str | None, timeout: float, **options: object) -> None:
        if not 0 < timeout <= MAX_SECONDS:
            raise _refused(f"--timeout must be a number of seconds up to {MAX_SECONDS}")
        probes = PROBES
        if url is not None:
            if not url.startswith(("http://", "https://")):
                raise _refused("--url must begin with https:// or http://")
            probes, timeout = {**PROBES, "proxy": proxy(url)}, max(timeout, LOOK_SECONDS)
        observed = examine(probes, timeout)
        findings = [each for each in observed if isinstance(each, Finding)]
        versions = {each.program: each.version for each in observed if isinstance(each, Version)}
        level = max((finding.level for finding in findings), default=Level.HEALTHY)
        render = _as_json if options["json"] else _as_text
        self.stdout.write(render(level, findings, versions))
        sys.exit(level)


def _refused(problem: str) -> CommandError:
    return CommandError(f"{problem}.", returncode=Level.ERROR)


def _as_json(level: Level, findings: Sequence[Finding], versions: dict[str, str]) -> str:
    shown = [{**asdict(each), "level": each.level.name.lower()} for each in findings]
    report = {"status": level.name.lower(), "findings": shown, "versions": versions}
    return json.dumps(report, ensure_ascii=False)


def _as_text(level: Level, findings: Sequence[Finding], versions: dict[str, str]) -> str:
    parts = [_paragraph(finding) for finding in sorted(findings, key=lambda each: -each.level)]
    parts.append(", ".join(f"{program} {version}" for program, version in versions.items()))
    counts = [_counted(findings, kind) for kind in (Level.ERROR, Level.WARNING)]
    parts.append(f"{', '.join(counts)}." if findings else "Nothing is wrong.")
    return "\n\n".join(parts)


def _counted(findings: Sequence[Finding], level: Level) -> str:
    """Such as "1 error" and "0 warnings"."""
    count = sum(each.level == level for each in findings)
    return f"{count} {level.name.lower()}{pluralize(count)}"


def _paragraph(finding: Finding) -> str:
    head = f"{finding.level.name} {finding.id}: {finding.problem}"
    return f"{head}\n  Why: {finding.why}\n  Do:  {finding.do}"

"""An evaluator of CloudWatch alarms: which alarms of monitoring.yaml a day of metrics raises.

By https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarm-evaluation: datapoints
are aggregated by period, and an alarm is raised when M of the last N of them breach. Missing data breaches or not, as
TreatMissingData says.
"""

import functools
import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import cfnlint.decode.cfn_yaml
from cfnlint.template import Template
from cfnlint.template.transforms._language_extensions import language_extension

from infra.stacks import TEMPLATES

STAGE = "dev"
MetricName = tuple[str, str, frozenset[str]]
_COMPARISONS = {"GreaterThanThreshold": float.__gt__, "LessThanThreshold": float.__lt__}


@dataclass
class Metrics:
    """Values of metrics, by minute of the day."""

    values: dict[MetricName, dict[int, list[float]]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, namespace: str, metric: str, minutes: range, *values: float, **dimensions: str) -> None:
        """Add the same values in each of these minutes."""
        name = (namespace, metric, frozenset(f"{key}={value}" for key, value in dimensions.items()))
        for minute in minutes:
            self.values[name].setdefault(minute, []).extend(values)

    def raised(self, minutes: int = 24 * 60) -> set[str]:
        """Return the names, without prefix, of the alarms that these metrics raise during the day."""
        return {
            str(one["AlarmName"]).removeprefix(f"eduflow-{STAGE}-") for one in alarms() if self._raises(one, minutes)
        }

    def _raises(self, alarm: dict[str, Any], minutes: int) -> bool:
        dimensions = frozenset(f"{one['Name']}={one['Value']}" for one in alarm.get("Dimensions", []))
        values = self.values.get((alarm["Namespace"], alarm["MetricName"], dimensions), {})
        if not values and alarm["TreatMissingData"] != "breaching":
            return False
        period, evaluated = alarm["Period"] // 60, alarm["EvaluationPeriods"]
        breaching = [
            _is_breaching(alarm, [value for minute in range(start, start + period) for value in values.get(minute, [])])
            for start in range(0, minutes, period)
        ]
        needed = alarm.get("DatapointsToAlarm", evaluated)
        windows = (breaching[end - evaluated : end] for end in range(evaluated, len(breaching) + 1))
        return any(sum(window) >= needed for window in windows)


@functools.cache
def alarms() -> list[dict[str, Any]]:
    """Return the properties of all alarms, for a stage with a cache."""
    template = cfnlint.decode.cfn_yaml.load(str(TEMPLATES / "monitoring.yaml"))
    _, expanded = language_extension(Template("monitoring.yaml", template, ["us-east-1"]))
    resources = json.loads(json.dumps(expanded))["Resources"].values()
    return [_resolve(one["Properties"]) for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]


def _is_breaching(alarm: dict[str, Any], values: list[float]) -> bool:
    if not values:
        return bool(alarm["TreatMissingData"] == "breaching")
    value = _aggregate(alarm.get("Statistic") or alarm["ExtendedStatistic"], values)
    return bool(_COMPARISONS[alarm["ComparisonOperator"]](float(value), float(alarm["Threshold"])))


def _aggregate(statistic: str, values: list[float]) -> float:
    match statistic:
        case "Sum":
            return sum(values)
        case "Maximum":
            return max(values)
        case "Average":
            return sum(values) / len(values)
    assert statistic == "p99", statistic
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def _resolve(value: Any) -> Any:
    if isinstance(value, list):
        return [_resolve(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": "Stage"}:
        return STAGE
    if "Fn::Sub" in value:
        text, names = value["Fn::Sub"] if isinstance(value["Fn::Sub"], list) else (value["Fn::Sub"], {})
        return re.sub(r"\$\{(\w+)\}", lambda match: str(names.get(match[1], STAGE)), text)
    return {key: _resolve(one) for key, one in value.items()}

"""What is set after `chalice deploy`, because neither Chalice nor the API's definition can carry it."""

from typing import Any

import boto3


def finish(resources: list[dict[str, Any]]) -> None:
    """Set what the deployed resources of a stage still lack; the same on every deploy."""
    for resource in resources:
        if resource["resource_type"] == "sqs_event":
            _report_failed_messages(resource["event_uuid"])


def _report_failed_messages(event_source: str) -> None:
    """Make Lambda heed the worker's list of failed messages; without it they would be deleted.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    boto3.client("lambda").update_event_source_mapping(
        UUID=event_source, FunctionResponseTypes=["ReportBatchItemFailures"]
    )

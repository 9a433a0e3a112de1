"""What a web page of another site, open in a browser on this machine, can do to the local stack: nothing."""

from typing import Any

import pytest
import requests

from tests.clients import Api
from tests.stack import RunningStack

EVIL = "https://evil.example"
QUEUE = "created-by-a-page"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},  # an image or a link, without Origin
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "rebind.evil.example"},
    ],
)
def test_page_of_another_site_changes_nothing_in_the_local_aws(stack: RunningStack, headers: dict[str, str]) -> None:
    function: dict[str, Any] = {"FunctionName": QUEUE, "Code": {"ZipFile": ""}, "Role": "r", "Runtime": "python3.13"}
    plain = headers | {"Content-Type": "text/plain"}  # which needs no preflight

    for response in (
        requests.get(f"{stack.aws_url}/?Action=CreateQueue&QueueName={QUEUE}", headers=headers, timeout=30),
        requests.post(f"{stack.aws_url}/2015-03-31/functions", json=function, headers=plain, timeout=30),
        requests.get(f"{stack.aws_url}/_ministack/ses/messages", headers=headers, timeout=30),
    ):
        assert response.status_code == 403
        assert "Access-Control-Allow-Origin" not in response.headers
    assert not stack.aws("sqs").list_queues(QueueNamePrefix=QUEUE).get("QueueUrls")


def test_local_aws_has_no_cors(stack: RunningStack) -> None:
    response = requests.get(f"{stack.aws_url}/_ministack/health", timeout=30)

    assert response.status_code == 200
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


def test_api_is_served_to_all_pages_but_on_local_hosts_only(gateway: Api) -> None:
    path = f"{gateway.url}/api/v1/courses-public/"

    assert requests.get(path, headers={"Origin": EVIL}, timeout=30).headers["Access-Control-Allow-Origin"] == "*"
    assert requests.get(path, headers={"Host": "rebind.evil.example"}, timeout=30).status_code == 403

"""The Lambda functions: the one list that templates, policies, alarms and tests are checked against."""

from dataclasses import dataclass

from chalicelib.core.config import PROJECT


@dataclass(frozen=True)
class Function:
    """One Lambda function, by the name that Chalice gives it."""

    name: str
    resource: str  # its logical ID in the template of `chalice package`
    uses_cache: bool = False  # whether it runs in the VPC of the cache
    queue: str = ""  # the SQS queue that invokes it
    is_scheduled: bool = False
    is_recursive: bool = False  # whether it sends messages to its own queue

    def lambda_name(self, stage_name: str) -> str:
        """Return its name on AWS: ``eduflow-<stage>`` for the API, the others end in their own."""
        return f"{PROJECT}-{stage_name}" + ("" if self.name == API.name else f"-{self.name}")

    @property
    def role_resource(self) -> str:
        """The logical ID of its role in the template of `chalice package`."""
        return "".join(part.capitalize() for part in self.name.split("_")) + "Role"

    @property
    def policy_file(self) -> str:
        """The file in .chalice/ that holds its policy."""
        return f"policy-{'api' if self.name == API.name else self.name}.json"


API = Function("api_handler", "APIHandler", uses_cache=True)
AUTHORIZER = Function("authorizer", "Authorizer")
EMAILS = Function("emails", "Emails", queue="emails")
FUNCTIONS = (
    API,
    AUTHORIZER,
    EMAILS,
    Function("cascade_deletions", "CascadeDeletions", uses_cache=True, queue="deletions", is_recursive=True),
    Function("place_settlement", "PlaceSettlement", queue="waitlist", is_recursive=True),
    Function("daily_report", "DailyReport", is_scheduled=True),
    Function("cleanup", "Cleanup", is_scheduled=True),
)


def log_group(function: Function, stage_name: str) -> str:
    """Return the name of a function's log group."""
    return f"/aws/lambda/{function.lambda_name(stage_name)}"


def access_log_group(stage_name: str) -> str:
    """Return the name of the log group of API Gateway's access log."""
    return f"/eduflow/{stage_name}/access"

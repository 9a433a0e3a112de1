"""Lambda's init phase: the import of a function's module, on a full CPU whatever its memory size.

https://serverlessland.com/content/service/lambda/guides/effectively-running-java-on-serverless/init-heavy-lifting

A request has 0.58 of a CPU at 1 GB, so that what every request needs is created here. Both phases cost the same
(https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase).
"""

import os
from collections.abc import Callable


def run_in_init_phase(*steps: Callable[[], object]) -> None:
    """Run steps if this process is a Lambda function. Elsewhere, what they create is created on first use.

    So tests and the Chalice CLI import the functions without AWS settings. A step must not open a connection: during
    an outage, the function could not even start.
    """
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        for step in steps:
            step()

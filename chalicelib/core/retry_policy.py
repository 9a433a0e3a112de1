"""Retries and timing: of emails, with the lifetimes of their links, of deletions, places and repeated requests.

These numbers depend on each other and on those of data.yaml and .chalice/config.json. A test checks the inequalities.
"""

from datetime import timedelta

# How often SQS delivers a message before it moves it to the dead-letter queue (data.yaml: maxReceiveCount).
MAX_RECEIVE_COUNT = 5
# How long SQS hides a message that a worker received (data.yaml: VisibilityTimeout). AWS recommends six times the
# timeout of the function (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html).
VISIBILITY_TIMEOUT_SECONDS = 360
WORKER_TIMEOUT_SECONDS = 60  # .chalice/config.json: lambda_timeout of each worker of a queue
API_TIMEOUT_SECONDS = 29  # .chalice/config.json: lambda_timeout, the limit of API Gateway
QUEUE_RETENTION = timedelta(days=14)  # data.yaml: MessageRetentionPeriod, the maximum of SQS

# No request that could still add dependents is running when the cascade starts (data.yaml: DelaySeconds).
CASCADE_DELAY_SECONDS = 35
# A writer that died keeps the cache from being filled until no function of its time is running.
CACHE_WRITE_MARKER_TTL_SECONDS = 65

# How long the email worker retries a throttled SES within one delivery.
SEND_RETRY_BUDGET_SECONDS = 8
# An email that is still pending after this time has no message: all deliveries are over by then.
EMAIL_REQUEUE_AFTER = timedelta(minutes=45)
# When all pending emails are requeued once more: the outage may be over, and a long queue may not have reached them.
EMAIL_REQUEUE_INTERVAL = timedelta(hours=3)
# Longer than a message and its dead letter can exist, so that a redriven message is recognised as a duplicate.
IDEMPOTENCY_RECORD_TTL = timedelta(days=30)

DELETION_REQUEUE_AFTER = timedelta(minutes=30)
# Longer than any request runs, any access token lives and any index lags.
TOMBSTONE_RETENTION = timedelta(days=1)
# How long the enrollments of a deactivated student are kept.
INACTIVE_RETENTION = timedelta(days=30)

# How long an email about an account is kept after SES rejected it.
FAILED_EMAIL_RETENTION = timedelta(days=30)

# How long a request has to use the place number that it drew. A later one finds it void, and draws another number.
UNUSED_NUMBER_SECONDS = 10

# How long a request holds the lease of its Idempotency-Key: no function of its time is running afterwards.
REQUEST_LEASE_SECONDS = 35
# How long an Idempotency-Key is valid after the last request that could create the resource.
IDEMPOTENCY_KEY_TTL = timedelta(hours=24)

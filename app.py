"""Chalice application: registers blueprints and middleware."""

import gc
import os

# What the imports create stays as long as the process: searching it for garbage would take a tenth of a cold start.
gc.disable()

from chalice.app import Chalice

from chalicelib.adapters import dynamodb
from chalicelib.adapters.cache import client as cache_client
from chalicelib.core.init_phase import run_in_init_phase
from chalicelib.handlers import authorizer
from chalicelib.handlers.api import (
    account_page,
    account_recovery,
    audit,
    auth,
    courses,
    docs,
    enrollments,
    lessons,
    notifications,
    reports,
    system,
    users,
    waitlist,
)
from chalicelib.observability import logs
from chalicelib.web.middleware import middleware

logs.configure()
app = Chalice("eduflow", configure_logs=False)
app.register_middleware(middleware, "http")
API_MODULES = (
    account_page,
    account_recovery,
    audit,
    auth,
    courses,
    docs,
    enrollments,
    lessons,
    notifications,
    reports,
    system,
    users,
    waitlist,
)
for module in (authorizer, *API_MODULES):
    app.register_blueprint(module.blueprint)

if os.environ.get("AWS_CHALICE_CLI_MODE"):
    # The workers are Lambda functions of their own. The Chalice CLI has to know them; the API function must not pay
    # for their imports.
    from chalicelib.handlers.workers import cleanup, daily_report, deletions, emails, place_settlement
    from infra.chalice import plugin

    for module in (cleanup, daily_report, deletions, emails, place_settlement):
        app.register_blueprint(module.blueprint)
    plugin.install()

# After the authorizer's, which verifies the tokens of public routes in this function, too.
run_in_init_phase(dynamodb.prepare, cache_client.prepare)
gc.freeze()  # later collections do not search what the imports created
gc.enable()

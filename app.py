"""Chalice application: registers blueprints and middleware."""

import os

from chalice.app import Chalice

from chalicelib.handlers import authorizer
from chalicelib.handlers.api import auth, courses, docs, enrollments, lessons, reports, system, users
from chalicelib.observability import logs
from chalicelib.web.middleware import middleware

logs.configure()
app = Chalice("eduflow", configure_logs=False)
app.register_middleware(middleware, "http")
for module in (auth, authorizer, courses, docs, enrollments, lessons, reports, system, users):
    app.register_blueprint(module.blueprint)

if os.environ.get("AWS_CHALICE_CLI_MODE"):
    # The workers are Lambda functions of their own. The Chalice CLI has to know them; the API function must not pay
    # for their imports.
    from chalicelib.handlers.workers import deletions, enrollment_emails, schedules
    from infra.chalice import plugin

    for module in (deletions, enrollment_emails, schedules):
        app.register_blueprint(module.blueprint)
    plugin.install()

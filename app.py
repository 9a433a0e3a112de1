"""EduFlow's Chalice app: every door of the house, and nothing else."""

import os

from chalice.app import Chalice

from chalicelib.handlers import authorizer
from chalicelib.handlers.api import auth, courses, docs, enrollments, lessons, reports, system, users
from chalicelib.observability import logs
from chalicelib.web.middleware import middleware

logs.configure()
app = Chalice("eduflow", configure_logs=False)
app.register_middleware(middleware, "http")
for door in (auth, authorizer, courses, docs, enrollments, lessons, reports, system, users):
    app.register_blueprint(door.blueprint)

if os.environ.get("AWS_CHALICE_CLI_MODE"):
    # Queue and schedule handlers are Lambdas of their own: who deploys must know them, who serves
    # the API must not pay for their imports.
    from chalicelib.handlers.workers import deletions, enrollment_emails, schedules
    from infra.chalice import plugin

    for door in (deletions, enrollment_emails, schedules):
        app.register_blueprint(door.blueprint)
    plugin.install()

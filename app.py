"""EduFlow's Chalice app: every door of the house, and nothing else."""

import os

from chalice.app import Chalice

from chalicelib import logs
from chalicelib.handlers import auth, authorizer, courses, docs, enrollments, lessons, reports, service, users
from chalicelib.handlers.middleware import middleware

logs.configure()
app = Chalice("eduflow", configure_logs=False)
app.register_middleware(middleware, "http")
for door in (auth, authorizer, courses, docs, enrollments, lessons, reports, service, users):
    app.register_blueprint(door.blueprint)

if os.environ.get("AWS_CHALICE_CLI_MODE"):
    # Queue and schedule handlers are Lambdas of their own: who deploys must know them, who serves
    # the API must not pay for their imports.
    from chalicelib.handlers import deletions, emails, schedules
    from infra.chalice import plugin

    for door in (deletions, emails, schedules):
        app.register_blueprint(door.blueprint)
    plugin.install()

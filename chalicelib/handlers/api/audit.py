"""/audit, for admins."""

from chalice.app import Response

from chalicelib.handlers.authorizer import authorizer
from chalicelib.schemas.audit import AuditEntryRead, AuditList, AuditQuery
from chalicelib.services import audit_listing
from chalicelib.services.audit_listing import AuditFilter
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.pagination import page_request, page_response
from chalicelib.web.routing import ApiBlueprint

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint("GET", f"{API_PREFIX}/audit", query=AuditQuery, responses={200: AuditList})
def list_audit_entries(request: ApiRequest[None, AuditQuery]) -> Response:
    """List the audit log, newest first.

    It has acts of admins and operators on others, and what opens or ends access to an account, of the last 400 days
    unless this stage keeps them longer or shorter. With `actor` or `subject`, it may lag by a second.
    """
    query = request.query
    filters = AuditFilter(query.actor, query.subject, query.action, query.from_, query.to)
    page = audit_listing.list_entries(request.caller, page_request(request), filters)
    return page_response(request, page, AuditList, [AuditEntryRead.from_model(entry) for entry in page.items])

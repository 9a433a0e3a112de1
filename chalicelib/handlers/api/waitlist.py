"""/waitlist, and /courses/<id>/places."""

from chalice.app import Response

from chalicelib.handlers.authorizer import authorizer
from chalicelib.schemas.waitlist import PlacesRead, WaitlistEntryRead, WaitlistQuery, WaitlistRead
from chalicelib.services import places, waitlist
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.pagination import page_request, page_response
from chalicelib.web.responses import json_response, no_content
from chalicelib.web.routing import ApiBlueprint

PLACES_PATH = f"{API_PREFIX}/courses/{{course_id}}/places"
COLLECTION_PATH = f"{API_PREFIX}/waitlist"
ITEM_PATH = f"{COLLECTION_PATH}/{{entry_id}}"

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint("GET", PLACES_PATH, responses={200: PlacesRead}, error_statuses={404})
def get_places(request: ApiRequest[None, None], course_id: str) -> Response:
    """Get how many places of a course are taken and left, and how many students wait for one."""
    return json_response(PlacesRead.from_model(places.get(request.caller_or_none, course_id)))


@blueprint.endpoint("GET", COLLECTION_PATH, query=WaitlistQuery, responses={200: WaitlistRead}, error_statuses={404})
def list_waitlist(request: ApiRequest[None, WaitlistQuery]) -> Response:
    """List waiting entries.

    Students get their own. The owner of a course and admins get those of the course, in the order in which places are
    given.
    """
    page = waitlist.list_entries(request.caller, page_request(request), request.query.course)
    return page_response(request, page, WaitlistRead, [WaitlistEntryRead.from_model(entry) for entry in page.items])


@blueprint.endpoint("GET", ITEM_PATH, responses={200: WaitlistEntryRead}, error_statuses={404})
def get_waitlist_entry(request: ApiRequest[None, None], entry_id: str) -> Response:
    """Get a waiting entry with its position.

    When the student gets a place, the entry is not found any more, and the enrollment has its ID.
    """
    return json_response(WaitlistEntryRead.from_model(waitlist.get(request.caller, entry_id)))


@blueprint.endpoint("DELETE", ITEM_PATH, responses={204: None}, error_statuses={404})
def delete_waitlist_entry(request: ApiRequest[None, None], entry_id: str) -> Response:
    """Leave a waitlist."""
    waitlist.leave(request.caller, entry_id)
    return no_content()

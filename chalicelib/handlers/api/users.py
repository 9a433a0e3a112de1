"""/users, for admins."""

from chalice.app import Response

from chalicelib.handlers.authorizer import authorizer
from chalicelib.schemas.accounts import UserList, UserPatch, UserQuery, UserRead
from chalicelib.services import users
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.pagination import page_request, page_response
from chalicelib.web.responses import json_response, no_content
from chalicelib.web.routing import ApiBlueprint

COLLECTION_PATH = f"{API_PREFIX}/users"
ITEM_PATH = f"{COLLECTION_PATH}/{{user_id}}"

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint("GET", COLLECTION_PATH, query=UserQuery, responses={200: UserList})
def list_users(request: ApiRequest[None, UserQuery]) -> Response:
    """List all users, newest first."""
    page = users.list_users(request.caller, page_request(request))
    return page_response(request, page, UserList, [UserRead.from_model(user) for user in page.items])


@blueprint.endpoint("GET", ITEM_PATH, responses={200: UserRead}, error_statuses={404})
def get_user(request: ApiRequest[None, None], user_id: str) -> Response:
    """Get a user."""
    return json_response(UserRead.from_model(users.get(request.caller, user_id)))


@blueprint.endpoint("PATCH", ITEM_PATH, body=UserPatch, responses={200: UserRead}, error_statuses={404, 409})
def update_user(request: ApiRequest[UserPatch, None], user_id: str) -> Response:
    """Update a user's email address, role or activation.

    A changed role or activation revokes the user's sessions.
    """
    return json_response(UserRead.from_model(users.update(request.caller, user_id, request.body.provided_fields())))


@blueprint.endpoint("DELETE", ITEM_PATH, responses={204: None}, error_statuses={404, 409})
def delete_user(request: ApiRequest[None, None], user_id: str) -> Response:
    """Erase a user's account."""
    users.delete(request.caller, user_id)
    return no_content()

"""/users, for admins."""

from chalice.app import Response

from chalicelib.schemas.accounts import UserIn, UserList, UserOut, UserQuery
from chalicelib.services import users
from chalicelib.web.pagination import list_answer, page_request
from chalicelib.web.routing import API, Call, Endpoints, json_answer, no_content

PATH = f"{API}/users"
ONE = f"{PATH}/{{user_id}}"

blueprint = Endpoints(__name__)


@blueprint.endpoint("GET", PATH, query=UserQuery, answers={200: UserList})
def list_users(call: Call[None, UserQuery]) -> Response:
    """All users, newest first."""
    page = users.browse(call.caller, page_request(call))
    return list_answer(call, page, UserList, [UserOut.of(user) for user in page.items])


@blueprint.endpoint("GET", ONE, answers={200: UserOut}, errors={404})
def read_user(call: Call[None, None], user_id: str) -> Response:
    """One user."""
    return json_answer(UserOut.of(users.read(call.caller, user_id)))


@blueprint.endpoint("PATCH", ONE, body=UserIn, answers={200: UserOut}, errors={404, 409})
def change_user(call: Call[UserIn, None], user_id: str) -> Response:
    """Change a user's email address, role or state; a changed role or state ends their sessions."""
    return json_answer(UserOut.of(users.update(call.caller, user_id, call.body.changes())))


@blueprint.endpoint("DELETE", ONE, answers={204: None}, errors={404, 409})
def delete_user(call: Call[None, None], user_id: str) -> Response:
    """Erase a user's account."""
    users.delete(call.caller, user_id)
    return no_content()

"""Verified email addresses and changes of the address, by HTTP and the email worker."""

from typing import Any

import pytest

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.roles import Role
from chalicelib.models.throttles import Throttle
from chalicelib.models.tickets import Ticket
from chalicelib.models.users import User
from chalicelib.services import users
from tests.factories import create_course, create_user
from tests.unit.email_worker import deliver_all
from tests.unit.handlers.api.recovery import INVALID_TOKEN, error_codes, profile, verify, void_by
from tests.unit.handlers.conftest import ApiClient, ApiResponse
from tests.unit.mailbox import Mailbox


@pytest.mark.parametrize(("days", "status"), [(6.99, 204), (7.01, 400)])
def test_verification_token_is_valid_for_7_days(
    http: ApiClient, eve: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, days: float, status: int
) -> None:
    [ticket] = Ticket.all_of_user(eve.id)
    sent_at = int(ticket.expires_at) - 7 * 86400
    monkeypatch.setattr("chalicelib.services.tickets.time.time", lambda: sent_at + days * 86400)

    assert verify(http, mailbox.tokens("verify")[0]).status == status


def test_registration_sends_a_verification_email(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    [email] = mailbox.to("eve@example.org")
    assert "https://api.example.org/api/account/#verify=" in email.text
    assert profile(http, eve)["email_verified"] is False

    token = mailbox.tokens("verify")[0]
    assert verify(http, token).status == 204
    assert profile(http, eve)["email_verified"] is True
    again = verify(http, token)
    assert (again.status, error_codes(again)) == (400, INVALID_TOKEN)


def test_links_lead_to_the_app_of_the_school(eve: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "app_url", "https://school.example/account")
    users.apply_changes(eve.id, {"email": "eve@school.example"})
    deliver_all()

    assert "https://school.example/account#verify=" in mailbox.to("eve@school.example")[0].text


def test_verification_can_be_requested_every_60_seconds(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    def request() -> ApiResponse:
        return http.call("POST", "/auth/email/verification/", eve)

    first, second = request(), request()
    assert (first.status, first.json) == (202, {})
    assert second.status == 429
    assert 0 < int(second.headers["retry-after"]) <= 60
    window = Throttle.find(f"verifications#{eve.id}")
    assert window is not None
    assert abs(int(window.expires_at) - clock.now().timestamp() - 60) < 10
    window.update([Throttle.expires_at.set(int(clock.now().timestamp()) - 1)])
    assert request().status == 202
    deliver_all()

    tokens = mailbox.tokens("verify")
    assert len(tokens) == 3
    assert [verify(http, token).status for token in tokens] == [400, 400, 204]
    assert request().status == 409


def test_verification_is_requested_ten_times_a_day(http: ApiClient, eve: Caller) -> None:
    responses = []
    for _ in range(11):
        responses.append(http.call("POST", "/auth/email/verification/", eve))
        Throttle.delete_all([f"verifications#{eve.id}"])  # as after a minute

    assert [response.status for response in responses] == [202] * 10 + [429]
    assert 3600 < int(responses[10].headers["retry-after"]) <= 86400


def test_verified_address_gets_no_further_verification(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    http.call("POST", "/auth/email/verification/", eve)
    verify(http, mailbox.tokens("verify")[0])
    deliver_all()

    assert len(mailbox.tokens("verify")) == 1


def test_address_changed_between_email_and_click(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    users.apply_changes(eve.id, {"email": "eve@new.example"})

    assert verify(http, mailbox.tokens("verify")[0]).status == 400
    assert profile(http, eve)["email_verified"] is False


def test_verification_link_used_between_read_and_write(
    http: ApiClient, eve: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = mailbox.tokens("verify")[0]
    change = User.verify_email

    def verify_late(user: User, extend: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(User, "verify_email", change)
            assert verify(http, token).status == 204
        change(user, extend)

    with monkeypatch.context() as patch:
        patch.setattr(User, "verify_email", verify_late)
        response = verify(http, token)

    assert (response.status, error_codes(response)) == (400, INVALID_TOKEN)


def test_new_password_leaves_the_verification_link_valid(http: ApiClient, eve: Caller, mailbox: Mailbox) -> None:
    void_by("new password", eve)

    assert verify(http, mailbox.tokens("verify")[0]).status == 204


def test_new_address_is_unverified_and_both_addresses_are_informed(
    http: ApiClient, ada: Caller, mailbox: Mailbox
) -> None:
    response = http.call("PATCH", "/auth/me/", ada, {"email": "ada@new.example"})
    assert (response.status, response.json["email_verified"]) == (200, False)
    deliver_all()

    assert [len(mailbox.to(address)) for address in ("ada@example.org", "ada@new.example")] == [1, 1]
    assert "ada@new.example" not in mailbox.to("ada@example.org")[0].text
    assert verify(http, mailbox.tokens("verify")[0]).status == 204
    assert profile(http, ada)["email_verified"] is True


def test_user_changes_the_address_five_times_a_day(http: ApiClient, ada: Caller) -> None:
    addresses = [f"ada@{number}.example" for number in range(6)]

    responses = [http.call("PATCH", "/auth/me/", ada, {"email": address}) for address in addresses]
    unchanged = http.call("PATCH", "/auth/me/", ada, {"email": addresses[4]})

    assert [response.status for response in responses] == [200] * 5 + [429]
    assert 3600 < int(responses[5].headers["retry-after"]) <= 86400
    assert unchanged.status == 200


def test_patch_without_a_change_sends_nothing(http: ApiClient, ada: Caller, mailbox: Mailbox) -> None:
    response = http.call("PATCH", "/auth/me/", ada, {"email": "ada@example.org"})
    deliver_all()

    assert (response.json["email_verified"], mailbox.emails) == (True, [])


def test_list_of_users_shows_whether_addresses_are_verified(http: ApiClient, eve: Caller) -> None:
    admin = create_user(Role.ADMIN)

    users_by_id = {user["id"]: user for user in http.call("GET", "/users/", admin).json["results"]}

    for user_id, is_verified in ((eve.id, False), (admin.id, True)):
        assert users_by_id[user_id] == http.call("GET", f"/users/{user_id}/", admin).json
        assert users_by_id[user_id]["email_verified"] is is_verified


def test_stage_can_require_a_verified_address(
    http: ApiClient, eve: Caller, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = create_course(create_user(Role.INSTRUCTOR))
    monkeypatch.setitem(settings().__dict__, "is_email_verification_required", True)

    refused = http.call("POST", "/enrollments/", eve, {"course": course.id})
    assert (refused.status, error_codes(refused)) == (403, [("email", "email_unverified")])

    verify(http, mailbox.tokens("verify")[0])
    assert http.call("POST", "/enrollments/", eve, {"course": course.id}).status == 201

    users.apply_changes(eve.id, {"is_active": False})
    other = create_course(create_user(Role.INSTRUCTOR))
    assert http.call("POST", "/enrollments/", eve, {"course": other.id}).status == 401


def test_unverified_students_enroll_by_default(http: ApiClient, eve: Caller) -> None:
    course = create_course(create_user(Role.INSTRUCTOR))

    assert http.call("POST", "/enrollments/", eve, {"course": course.id}).status == 201

"""What hangs on something that was deleted: hidden at once where it must be, gone a little later."""

from requests import Response

from tests.support import Actor, Api, at_once, eventually, registers

A_WHILE = 90  # the worker starts when no function that could still be adding can be running


def test_what_hangs_on_deleted_courses_and_users_goes_also_when_others_enroll_meanwhile(
    teacher: Actor, admin: Actor, gateway: Api
) -> None:
    leaver, stayer = registers(gateway, "student"), registers(gateway, "student")
    doomed, kept = teacher.makes_course(), teacher.makes_course()
    lesson = teacher.post("/lessons/", {"course": doomed["id"], "title": "Doomed"}).json()
    of_leaver = leaver.enrolls_in(kept)
    stayer.enrolls_in(doomed)
    of_stayer = stayer.enrolls_in(kept)

    crowd = [registers(gateway, "student") for _ in range(20)]

    def deletes_or_enrolls(number: int) -> Response:
        if number == 20:
            return teacher.call("DELETE", f"/courses/{doomed['id']}/")
        return crowd[number].post("/enrollments/", {"course": doomed["id"]})

    *enrolled, deleted = at_once(deletes_or_enrolls, 21)
    assert deleted.status_code == 204
    assert {answer.status_code for answer in enrolled} <= {201, 400}
    assert leaver.call("DELETE", "/auth/me/").status_code == 204

    assert teacher.get(f"/lessons/{lesson['id']}/").status_code == 404
    assert teacher.get(f"/lessons/?course={doomed['id']}").json()["results"] == []
    assert stayer.post("/enrollments/", {"course": doomed["id"]}).status_code == 400

    def left(query: str) -> list[str]:
        return [enrollment["id"] for enrollment in admin.get(f"/enrollments/?{query}").json()["results"]]

    eventually(lambda: left(f"course={doomed['id']}") == [], A_WHILE)
    eventually(lambda: left(f"student={of_leaver['student']}") == [], A_WHILE)
    assert left(f"student={of_stayer['student']}") == left(f"course={kept['id']}") == [of_stayer["id"]]

import pytest

from tests.clients import Actor, Api, register, unique
from tests.e2e.apis import EACH_API
from tests.e2e.pages import walk
from tests.stack import RunningStack

pytestmark = pytest.mark.contract


@EACH_API
def test_published_course_is_readable_by_all(teacher: Actor, anonymous: Actor, api: Api) -> None:
    made = teacher.post(
        "/courses/", {"title": "  Linear algebra ", "description": "Vectors", "price": "49.9", "is_published": True}
    )
    course = made.json()

    assert made.status_code == 201
    assert made.headers["Location"] == f"{api.url}/api/v1/courses/{course['id']}/"
    assert set(course) == {
        "id", "title", "description", "price", "is_published", "owner", "owner_id", "created_at", "updated_at",
        "lessons_count",
    }  # fmt: skip
    assert (course["title"], course["price"], course["owner"]) == ("Linear algebra", "49.90", teacher.username)
    assert course["lessons_count"] == 0
    assert anonymous.get(made.headers["Location"]).json() == course
    assert course in anonymous.get("/courses/").json()["results"]


def test_new_course_is_a_free_draft_by_default(teacher: Actor) -> None:
    course = teacher.post("/courses/", {"title": "Draft"}).json()

    assert (course["is_published"], course["price"], course["description"]) == (False, "0.00", "")


def test_draft_is_visible_to_owner_and_admins(teacher: Actor, admin: Actor, student: Actor, anonymous: Actor) -> None:
    draft = teacher.create_course(is_published=False)
    rival = Actor(teacher.api, token=register(teacher.api, "instructor").token)
    path = f"/courses/{draft['id']}/"

    assert [actor.get(path).status_code for actor in (teacher, admin)] == [200, 200]
    assert [actor.get(path).status_code for actor in (rival, student, anonymous)] == [404, 404, 404]
    assert draft in admin.get("/courses/").json()["results"]
    assert draft in teacher.get("/courses/?owner=me").json()["results"]
    assert draft in teacher.get("/courses/").json()["results"]
    assert all(draft != course for course in student.get("/courses/?limit=100").json()["results"])


def test_students_and_anonymous_cannot_create_courses(student: Actor, gateway: Api) -> None:
    assert student.post("/courses/", {"title": "Mine"}).status_code == 403
    assert Actor(gateway).post("/courses/", {"title": "Mine"}).status_code == 401


@pytest.mark.parametrize(
    "course_id",
    [
        "nope",
        "0000000000000000",
        "%20",
        pytest.param("..", marks=pytest.mark.embedded),  # LocalStack resolves it before it routes
        "a" * 500,
    ],
)
def test_malformed_id_is_404(anonymous: Actor, course_id: str) -> None:
    assert anonymous.get(f"/courses/{course_id}/").status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "ab"),
        ("title", "  ab  "),
        ("title", "x" * 201),
        ("title", None),
        ("description", "x" * 10_001),
        ("price", "-0.01"),
        ("price", "100000000.00"),
        ("price", "1.999"),
        ("price", "NaN"),
        ("price", "many"),
        ("is_published", "perhaps"),
    ],
)
def test_invalid_fields_are_named(teacher: Actor, field: str, value: object) -> None:
    response = teacher.post("/courses/", {"title": "A title", field: value})

    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]


@EACH_API
def test_course_pages_visit_each_course_once(api: Api, stack: object) -> None:
    owner = Actor(api, token=register(api, "instructor").token)
    made = [owner.create_course(title=unique("Paged"))["id"] for _ in range(7)]

    forward, back = walk(owner, "/courses/?owner=me&limit=3")

    newest_first = made[::-1]
    assert forward == back == [newest_first[:3], newest_first[3:6], newest_first[6:]]
    following = owner.get("/courses/?owner=me&limit=3").json()["next"]
    assert following.startswith(f"{api.url}/api/v1/courses/?")


@EACH_API
def test_cursor_is_valid_for_its_own_list_only(teacher: Actor, admin: Actor, api: Api) -> None:
    for _ in range(2):
        teacher.create_course()
    following = admin.get("/courses/?limit=1").json()["next"]

    assert admin.get(following).status_code == 200
    assert Actor(api).get(following).status_code == 400
    assert admin.get(following + "&ordering=price").status_code == 400
    assert admin.get(following[:-2] + "AA").status_code == 400
    assert admin.get("/courses/?cursor=x").status_code == 400


@EACH_API
def test_ordering_by_price(api: Api) -> None:
    owner = Actor(api, token=register(api, "instructor").token)
    for price in ("10.00", "9.00", "100.00"):
        owner.create_course(price=price)

    def prices(ordering: str) -> list[str]:
        results = owner.get(f"/courses/?owner=me&ordering={ordering}").json()["results"]
        return [course["price"] for course in results]

    assert prices("price") == ["9.00", "10.00", "100.00"]
    assert prices("-price") == ["100.00", "10.00", "9.00"]


@pytest.mark.embedded  # LocalStack has no front like a custom domain: all contract tests use its stage URL
def test_stage_url_works_like_the_custom_domain(stack: RunningStack, teacher: Actor) -> None:
    host = stack.stage_host()  # not every resolver knows the names below localhost
    staged = Actor(Api(f"{stack.aws_url}/local"), token=teacher.token)

    made = staged.post("/courses/", {"title": "By the stage URL", "is_published": True}, headers={"Host": host})
    path = made.headers["Location"].removeprefix(f"http://{host}/local/api/v1")
    read = staged.get(path, headers={"Host": host})

    assert made.status_code == 201
    assert path == f"/courses/{made.json()['id']}/"
    assert read.json() == made.json()

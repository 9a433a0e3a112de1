"""Walks through the pages of a list of the API."""

from tests.clients import Actor


def walk(actor: Actor, path: str) -> tuple[list[list[str]], list[list[str]]]:
    """Return the IDs of each page, by ``next`` to the end and by ``previous`` back, both in the list's order."""
    pages = [actor.get(path).json()]
    assert pages[0]["previous"] is None
    while pages[-1]["next"]:
        pages.append(actor.get(pages[-1]["next"]).json())
    back = [pages[-1]]
    while back[0]["previous"]:
        back.insert(0, actor.get(back[0]["previous"]).json())
    forward_ids, back_ids = ([[one["id"] for one in page["results"]] for page in walked] for walked in (pages, back))
    return forward_ids, back_ids

"""The roles of users."""

from enum import StrEnum


class Role(StrEnum):
    """A user's role."""

    ADMIN = "admin"
    INSTRUCTOR = "instructor"
    STUDENT = "student"

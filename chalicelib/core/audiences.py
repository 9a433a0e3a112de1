"""Who may read the lessons of a course."""

from enum import StrEnum


class LessonAudience(StrEnum):
    """Whether the content of lessons is for everyone who may view the course, or for the enrolled."""

    EVERYONE = "everyone"
    ENROLLED = "enrolled"

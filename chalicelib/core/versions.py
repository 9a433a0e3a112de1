"""Optimistic locking: the versions of an entity that a caller expects."""

ExpectedVersions = frozenset[int] | None  # None for any version

"""What tests of the study share: published interactions, where they are."""

from tests.recommend.conftest import shared_rec  # noqa: F401

"""The page of metrics says what the code counts."""

from docs.build_metrics import PAGE, page


def test_the_page_is_what_the_code_builds() -> None:
    assert PAGE.read_text() == page(), "run `make metrics-page`"

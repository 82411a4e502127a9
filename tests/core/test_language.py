"""What is taken for English."""

import pytest

from app.core.language import is_english


@pytest.mark.parametrize(
    "text", ["Where was he born?", "invoice 2024", "tomato soup", "", "42", "naïve café", "Don't!"]
)
def test_english_and_what_could_be(text: str) -> None:
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Wie viele Punkte wurden erzielt?",
        "¿Cuántos puntos se marcaron?",
        "Combien de points dans le match ?",
        "东京的人口是多少",
        "Сколько очков",
        "كم عدد النقاط",
        "kaç puan ve ne zaman",
    ],
)
def test_other_languages(text: str) -> None:
    assert not is_english(text)

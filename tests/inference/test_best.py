"""The best of several answers are the likeliest, by the mean of their tokens' log probabilities."""

from bodhi_asgi.inference.choices import best, split
from bodhi_asgi.messages.answers import Answer, FinishReason, TokenLogprob
from bodhi_asgi.messages.conversation import TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest


def answer(text: str, *logprobs: float | None) -> Answer:
    tokens = tuple(TokenLogprob(1, b"x", logprob) for logprob in logprobs)
    return Answer(text, FinishReason.STOP, logprobs=tokens)


WANTED = GenerateRequest("m", TextPrompt("x"), n=2, best_of=4)


def test_the_likeliest_come_first_whatever_their_length() -> None:
    answers = [answer("a", -1.0), answer("b", None, -0.1, -0.2), answer("c", -0.05), answer("d", -3.0, -0.1)]
    assert [one.text for one in best(answers, WANTED)] == ["c", "b"]
    assert all(one.logprobs == () for one in best(answers, WANTED)), "they were not asked for"


def test_all_that_are_wanted_stay_in_their_order() -> None:
    answers = [answer("a", -2.0), answer("b", -1.0)]
    assert best(answers, GenerateRequest("m", TextPrompt("x"), n=2)) == answers


def test_log_probabilities_are_computed_where_the_best_is_wanted_and_shown_where_asked_for() -> None:
    assert [one.logprobs for one in split(WANTED)] == [0] * 4
    assert {(one.n, one.best_of) for one in split(WANTED)} == {(1, 1)}
    asked = GenerateRequest("m", TextPrompt("x"), n=1, best_of=2, logprobs=3)
    assert [one.logprobs for one in split(asked)] == [3, 3]
    assert best([answer("a", -2.0), answer("b", -1.0)], asked) == [answer("b", -1.0)]
    assert [one.logprobs for one in split(GenerateRequest("m", TextPrompt("x"), n=3))] == [None] * 3

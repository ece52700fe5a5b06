"""Who enters when: in order of arrival, suspects alone until they have shown a piece of text."""

from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.engine.process.admission import Admission


def door() -> tuple[Admission, list[str]]:
    entered: list[str] = []
    return Admission(entered.append), entered


def test_requests_without_suspicion_enter_at_once() -> None:
    admission, entered = door()
    for name in "abc":
        admission.arrive(name, alone=False)
    assert entered == ["a", "b", "c"]


def test_a_suspect_enters_when_nothing_runs_and_holds_the_others_until_it_is_proven() -> None:
    admission, entered = door()
    admission.arrive("a", alone=False)
    admission.arrive("suspect", alone=True)
    admission.arrive("b", alone=False)
    assert entered == ["a"]
    admission.leave("a")
    assert entered == ["a", "suspect"]
    admission.prove("a")
    assert entered == ["a", "suspect"]
    admission.prove("suspect")
    assert entered == ["a", "suspect", "b"]


def test_a_suspect_that_ends_or_is_cancelled_lets_the_next_one_in() -> None:
    admission, entered = door()
    for name in ("s1", "s2", "s3"):
        admission.arrive(name, alone=True)
    assert entered == ["s1"]
    admission.leave("s2")
    admission.leave("s1")
    assert entered == ["s1", "s3"]


def test_a_suspect_that_has_waited_long_enters_beside_those_that_have_shown_text() -> None:
    admission, entered = door()
    admission.arrive("long", alone=False)
    admission.arrive("silent", alone=False)
    admission.arrive("suspect", alone=True)
    admission.arrive("next suspect", alone=True)
    admission.prove("long")
    assert admission.is_held_up
    admission.hurry()
    assert entered == ["long", "silent"]
    admission.prove("silent")
    assert entered == ["long", "silent", "suspect"]
    assert not admission.is_held_up
    admission.prove("suspect")
    assert entered == ["long", "silent", "suspect"]
    assert admission.is_held_up


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["arrive", "prove", "leave"])), max_size=60))
def test_a_suspect_is_never_let_in_beside_another_and_everyone_gets_in_at_last(
    moves: list[tuple[bool, str]],
) -> None:
    inside: dict[str, bool] = {}
    unproven: set[str] = set()

    def admit(name: str) -> None:
        assert not unproven, "somebody entered beside an unproven suspect"
        if suspects[name]:
            assert not inside, "a suspect entered while something ran"
            unproven.add(name)
        inside[name] = True

    suspects: dict[str, bool] = {}
    admission = Admission(admit)
    done = 0
    for number, (alone, move) in enumerate(moves):
        if move == "arrive":
            suspects[str(number)] = alone
            admission.arrive(str(number), alone=alone)
        elif inside:
            name = next(iter(inside))
            unproven.discard(name)
            if move == "leave":
                del inside[name]
                done += 1
                admission.leave(name)
            else:
                admission.prove(name)
    while inside:
        name = next(iter(inside))
        unproven.discard(name)
        del inside[name]
        done += 1
        admission.leave(name)
    assert done == len(suspects)

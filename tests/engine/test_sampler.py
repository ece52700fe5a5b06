"""What each sampling option does to the distribution, in the chain that llama.cpp runs on the demo model."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine import sampler as steps
from bodhi_asgi.engine.plan import Clear, Row, StepOutcome, StepPlan
from bodhi_asgi.engine.runners.llama import LlamaRunner
from bodhi_asgi.engine.sampler import MAX_SEED, WIDE_TOP_K, chain
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.conversation import TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest, Sampling

GREEDY = Sampling(temperature=0)
FLAT = 2.0
"""A temperature at which the demo model, which is sure of itself, has a choice."""

OPEN = Sampling(temperature=FLAT, top_k=0, top_p=1, min_p=0)
"""Nothing cut off but what WIDE_TOP_K cuts."""


def asked(sampling: Sampling) -> GenerateRequest:
    return GenerateRequest("demo", TextPrompt(""), sampling)


class Chooser:
    """One place in a text, from which tokens are drawn as often as one likes."""

    def __init__(self, text: str) -> None:
        self.runner = LlamaRunner(ModelSpec("demo", str(DEMO_MODEL_PATH), n_ctx=512, slots=1, threads=1))
        self.n_vocab = self.runner.load(lambda _: True).n_vocab
        self._text = tuple(self.runner.vocabulary.encode(TextPrompt(text)))
        self._numbers = itertools.count(1)
        self._at = 0
        self.continued(GREEDY, 1)

    def continued(self, wanted: Sampling | GenerateRequest, tokens: int) -> list[int]:
        """So many tokens after the text, each drawn and computed as an answer's are."""
        number = next(self._numbers)
        self.runner.begin(number, asked(wanted) if isinstance(wanted, Sampling) else wanted)
        plan = StepPlan((Row(0, number, 0, self._text, wants_token=True),), edits=(Clear(0),))
        drawn: list[int] = []
        for position in range(len(self._text), len(self._text) + tokens):
            result = self.runner.run(plan)
            assert result.outcome is StepOutcome.DONE
            drawn.append(result.drawn[0].token)
            plan = StepPlan((Row(0, number, position, (drawn[-1],), wants_token=True),))
        self.runner.end(number)
        return drawn

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Of every token directly after the text."""
        self.continued(GREEDY, 1)
        logits = np.ctypeslib.as_array(
            llama_cpp.llama_get_logits_ith(self.runner._context, -1), shape=(self.n_vocab,)
        ).astype(np.float64)
        weights = np.exp((logits - logits.max()) / temperature)
        shares: NDArray[np.float64] = weights / weights.sum()
        return shares

    def draws(self, sampling: Sampling, times: int = 400) -> Counter[int]:
        """First tokens of as many draws, each from a fresh sampler with its own seed where none is given."""
        self.continued(GREEDY, 1)
        drawn: Counter[int] = Counter()
        for _ in range(times):
            number = next(self._numbers)
            self.runner.begin(number, asked(sampling))
            drawn[self.runner._drawers[number].draw(-1).token] += 1
            self.runner.end(number)
        return drawn


@pytest.fixture(scope="module")
def chooser() -> Iterator[Chooser]:
    made = Chooser("The capital of")
    yield made
    made.runner.unload()


def best(chooser: Chooser, count: int) -> list[int]:
    """The likeliest tokens, likeliest first."""
    return [int(token) for token in np.argsort(-chooser.probabilities(FLAT))[:count]]


def test_temperature_zero_takes_the_likeliest_every_time(chooser: Chooser) -> None:
    assert chooser.draws(GREEDY, 50) == {best(chooser, 1)[0]: 50}


def test_top_k_of_one_is_greedy_at_any_temperature(chooser: Chooser) -> None:
    greedy = chooser.continued(GREEDY, 24)
    assert chooser.continued(Sampling(temperature=FLAT, top_k=1), 24) == greedy
    assert chooser.continued(OPEN, 24) != greedy


def test_the_same_seed_draws_the_same_answer_and_others_draw_others(chooser: Chooser) -> None:
    def answer(seed: int) -> list[int]:
        return chooser.continued(Sampling(temperature=FLAT, top_p=1, min_p=0, seed=seed), 24)

    assert answer(7) == answer(7)
    assert len({tuple(answer(seed)) for seed in range(6)}) > 1
    assert answer(0) == answer(MAX_SEED + 1), "seeds count from anew after the largest"


def test_without_a_seed_every_answer_has_one_of_its_own(chooser: Chooser) -> None:
    assert len({tuple(chooser.continued(OPEN, 12)) for _ in range(6)}) > 1


def test_draws_follow_the_models_probabilities_at_the_temperature(chooser: Chooser) -> None:
    shares = chooser.probabilities(FLAT)
    kept = np.argsort(-shares)[:WIDE_TOP_K]
    draws, times = chooser.draws(OPEN, 2000), 2000
    for token in kept[:3]:
        share = shares[token] / shares[kept].sum()
        assert draws[int(token)] / times == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / times) + 1e-3)


def test_a_lower_temperature_sharpens(chooser: Chooser) -> None:
    likeliest = best(chooser, 1)[0]
    flat = chooser.draws(Sampling(temperature=4, top_k=0, top_p=1, min_p=0))[likeliest]
    sharp = chooser.draws(Sampling(temperature=0.5, top_k=0, top_p=1, min_p=0))[likeliest]
    assert sharp > flat


@pytest.mark.parametrize("k", [2, 5])
def test_top_k_keeps_as_many_of_the_likeliest(chooser: Chooser, k: int) -> None:
    draws = chooser.draws(Sampling(temperature=20, top_k=k, top_p=1, min_p=0))
    assert set(draws) == set(best(chooser, k))


def test_top_k_of_zero_is_no_narrower_than_the_wide_one(chooser: Chooser) -> None:
    draws = chooser.draws(Sampling(temperature=1000, top_k=0, top_p=1, min_p=0), 2000)
    assert set(draws) <= set(best(chooser, WIDE_TOP_K))
    assert len(draws) > 0.9 * min(WIDE_TOP_K, chooser.n_vocab)


def test_top_p_keeps_the_likeliest_up_to_this_much_probability(chooser: Chooser) -> None:
    shares = chooser.probabilities()
    order = np.argsort(-shares)
    reached = int(np.searchsorted(np.cumsum(shares[order]), 0.9)) + 1
    draws = chooser.draws(Sampling(temperature=1000, top_k=0, top_p=0.9, min_p=0), 40 * reached)
    assert set(draws) == {int(token) for token in order[:reached]}
    assert set(chooser.draws(Sampling(temperature=1000, top_k=0, top_p=0.0, min_p=0), 20)) == {int(order[0])}


def test_min_p_keeps_what_has_this_share_of_the_likeliest(chooser: Chooser) -> None:
    shares = chooser.probabilities()
    share = float(np.sort(shares)[-3] / shares.max()) * 0.99
    draws = chooser.draws(Sampling(temperature=1000, top_k=0, top_p=1, min_p=share))
    assert set(draws) == set(best(chooser, 3))
    assert set(chooser.draws(Sampling(temperature=1000, top_p=1, min_p=1.0), 20)) == {best(chooser, 1)[0]}


def test_typical_keeps_what_is_as_surprising_as_expected(chooser: Chooser) -> None:
    shares = chooser.probabilities()
    kept = np.argsort(-shares)[:WIDE_TOP_K]
    p = shares[kept] / shares[kept].sum()
    surprise = np.abs(-np.log(p) - (-p * np.log(p)).sum())
    order = np.argsort(surprise, kind="stable")
    reached = int(np.searchsorted(np.cumsum(p[order]), 0.5)) + 1
    typical = {int(token) for token in kept[order[:reached]]}
    sampling = Sampling(temperature=1000, top_k=0, top_p=1, min_p=0, typical_p=0.5)
    assert set(chooser.draws(sampling, 40 * reached)) == typical


def test_a_bias_forbids_a_token_and_another_makes_it_certain(chooser: Chooser) -> None:
    first, second = best(chooser, 2)
    forbidden = Sampling(temperature=0, logit_bias=((first, -100.0),))
    assert chooser.continued(forbidden, 1) == [second]
    assert first not in chooser.continued(forbidden, 24)
    unlikely = int(np.argmin(chooser.probabilities()))
    for sampling in (GREEDY, OPEN):
        wanted = Sampling(sampling.temperature, sampling.top_p, logit_bias=((unlikely, 1000.0),))
        assert set(chooser.draws(wanted, 20)) == {unlikely}


def test_a_bias_for_a_token_that_does_not_exist_is_refused_by_its_number(chooser: Chooser) -> None:
    with pytest.raises(Invalid, match=f"{chooser.n_vocab}; this model's tokens end at {chooser.n_vocab - 1}") as error:
        chooser.runner.begin(999, asked(Sampling(logit_bias=((0, 1.0), (chooser.n_vocab, 1.0)))))
    assert error.value.param == "logit_bias"
    assert 999 not in chooser.runner._drawers


PENALISED = [
    Sampling(temperature=0, repeat_penalty=1e6),
    Sampling(temperature=0, frequency_penalty=1000),
    Sampling(temperature=0, presence_penalty=1000),
]


@pytest.mark.parametrize("sampling", PENALISED, ids=["repeat", "frequency", "presence"])
def test_a_large_penalty_lets_no_token_be_said_twice(chooser: Chooser, sampling: Sampling) -> None:
    assert max(Counter(chooser.continued(GREEDY, 40)).values()) > 1
    # No more than WIDE_TOP_K are looked at, so no more than as many can be told apart.
    assert max(Counter(chooser.continued(sampling, 40)).values()) == 1


def test_frequency_counts_and_presence_does_not(chooser: Chooser) -> None:
    token = best(chooser, 1)[0]
    always = ((token, 50.0),)
    presence = chooser.continued(Sampling(temperature=0, logit_bias=always, presence_penalty=2), 40)
    assert presence == [token] * 40
    frequency = chooser.continued(Sampling(temperature=0, logit_bias=always, frequency_penalty=2), 40)
    assert frequency[:10] == [token] * 10
    assert set(frequency) > {token}


def test_penalties_forget_what_is_out_of_their_window(chooser: Chooser) -> None:
    token = best(chooser, 1)[0]
    always = ((token, 50.0),)
    short = chooser.continued(Sampling(temperature=0, logit_bias=always, presence_penalty=1000, penalty_last_n=1), 8)
    assert [each == token for each in short] == [True, False] * 4
    off = chooser.continued(Sampling(temperature=0, logit_bias=always, presence_penalty=1000, penalty_last_n=0), 8)
    assert off == [token] * 8


def test_penalties_do_not_count_the_prompt(chooser: Chooser) -> None:
    first = best(chooser, 1)[0]
    assert chooser.continued(Sampling(temperature=0, presence_penalty=1000), 1) == [first]
    said_before = ((chooser._text[-1], 50.0),)
    assert chooser.continued(Sampling(temperature=0, presence_penalty=1000, logit_bias=said_before), 1) == [
        chooser._text[-1]
    ]


def test_top_n_sigma_keeps_what_is_near_the_largest_of_all_logits(chooser: Chooser) -> None:
    logits = np.log(chooser.probabilities())
    near = np.flatnonzero(logits >= logits.max() - 1.5 * logits.std())
    draws = chooser.draws(Sampling(temperature=1000, top_k=0, top_p=1, min_p=0, top_n_sigma=1.5), 60 * len(near))
    assert set(draws) == {int(token) for token in near}
    assert len(near) < WIDE_TOP_K
    off = chooser.draws(Sampling(temperature=1000, top_k=0, top_p=1, min_p=0, top_n_sigma=-1), 500)
    assert len(off) > len(near)


def test_xtc_drops_all_but_the_least_likely_of_the_likely(chooser: Chooser) -> None:
    shares = chooser.probabilities()
    order = [int(token) for token in np.argsort(-shares)[:WIDE_TOP_K]]
    kept = shares[order] / shares[order].sum()
    threshold = float(kept[2] + kept[3]) / 2
    always = Sampling(temperature=1, top_k=0, top_p=1, min_p=0, xtc_probability=1, xtc_threshold=threshold)
    draws = chooser.draws(always)
    assert set(order[:2]) & set(draws) == set()
    assert order[2] in draws
    half = Sampling(temperature=1, top_k=0, top_p=1, min_p=0, xtc_probability=0.5, xtc_threshold=threshold)
    share = kept[0] / 2
    assert chooser.draws(half, 2000)[order[0]] / 2000 == pytest.approx(share, abs=5 * np.sqrt(share / 2000) + 1e-3)


def test_a_dynamic_temperature_is_low_where_the_model_is_sure(chooser: Chooser) -> None:
    kept = np.sort(chooser.probabilities())[-WIDE_TOP_K:]
    kept /= kept.sum()
    entropy = -(kept * np.log(kept)).sum() / np.log(len(kept))
    at = chooser.probabilities(1 - 0.9 + 1.8 * entropy**2)
    expected = at.max() / np.sort(at)[-WIDE_TOP_K:].sum()
    ranged = Sampling(temperature=1, top_k=0, top_p=1, min_p=0, dynatemp_range=0.9, dynatemp_exponent=2)
    drawn = chooser.draws(ranged, 2000)[best(chooser, 1)[0]] / 2000
    assert drawn == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 2000) + 2e-3)


def mirostat(version: int, tau: float, seed: int) -> Sampling:
    return Sampling(temperature=1, seed=seed, mirostat=version, mirostat_tau=tau, mirostat_eta=0.3)


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_is_the_more_surprising_the_more_surprise_is_wanted(chooser: Chooser, version: int) -> None:
    def different(tau: float) -> int:
        return sum(len(set(chooser.continued(mirostat(version, tau, seed), 40))) for seed in range(4))

    assert different(0.0) < different(6.0)
    assert chooser.continued(mirostat(version, 3.0, 5), 24) == chooser.continued(mirostat(version, 3.0, 5), 24)


def longest_repeat(tokens: list[int]) -> int:
    """The most tokens that stand twice in a row somewhere."""

    def alike(first: int, second: int) -> int:
        most = len(tokens) - second
        return next((n for n in range(most) if tokens[first + n] != tokens[second + n]), most)

    return max(alike(first, second) for first, second in itertools.combinations(range(len(tokens)), 2))


def test_dry_lets_the_model_repeat_itself_less(chooser: Chooser) -> None:
    assert longest_repeat(chooser.continued(GREEDY, 60)) > 4
    dry = Sampling(temperature=0, dry_multiplier=1000, dry_sequence_breakers=())
    assert longest_repeat(chooser.continued(dry, 60)) <= 2


def test_dry_counts_the_prompt_too(chooser: Chooser) -> None:
    first, second = best(chooser, 2)
    dry = asked(Sampling(temperature=0, dry_multiplier=1000))
    chooser.continued(GREEDY, 1)
    chooser.runner.begin(998, dry, [*chooser._text, first, *chooser._text])
    assert chooser.runner._drawers[998].draw(-1).token == second
    chooser.runner.end(998)


# -- when an answer may end


def test_an_answer_does_not_end_before_min_tokens(chooser: Chooser) -> None:
    end = min(chooser.runner.vocabulary.end_tokens)
    at_once = asked(Sampling(temperature=0, logit_bias=((end, 100.0),)))
    drawn = chooser.continued(replace(at_once, min_tokens=5), 8)
    assert end not in drawn[:5]
    assert drawn[5:] == [end] * 3


def test_stop_tokens_do_not_come_before_min_tokens_either(chooser: Chooser) -> None:
    first = best(chooser, 1)[0]
    at_once = asked(Sampling(temperature=0, logit_bias=((first, 100.0),)))
    drawn = chooser.continued(replace(at_once, min_tokens=2, stop_tokens=(first,)), 4)
    assert first not in drawn[:2]
    assert drawn[2:] == [first] * 2


def test_an_answer_that_ignores_its_end_never_draws_it(chooser: Chooser) -> None:
    ends = chooser.runner.vocabulary.end_tokens
    for sampling in (GREEDY, OPEN):
        at_once = asked(replace(sampling, logit_bias=((min(ends), 100.0),)))
        assert not ends & set(chooser.continued(replace(at_once, ignore_eos=True), 24))


def test_a_stop_token_that_does_not_exist_is_refused_by_its_number(chooser: Chooser) -> None:
    with pytest.raises(Invalid, match=f"{chooser.n_vocab}; this model's tokens end at") as error:
        chooser.runner.begin(999, replace(asked(GREEDY), stop_tokens=(0, chooser.n_vocab)))
    assert error.value.param == "stop_token_ids"
    assert 999 not in chooser.runner._drawers


# -- the chain as a list


def test_mirostat_takes_the_place_of_what_narrows_the_choice() -> None:
    sampling = Sampling(temperature=0.9, top_k=5, top_p=0.5, frequency_penalty=1, seed=3, mirostat=2, mirostat_eta=0.2)
    assert chain(sampling) == [
        steps.TopK(WIDE_TOP_K),
        steps.Penalties(64, 1.0, 1, 0),
        steps.Temperature(0.9),
        steps.Mirostat(2, 5.0, 0.2, 3),
    ]


def test_the_spread_of_all_logits_is_measured_before_any_is_cut() -> None:
    sampling = Sampling(temperature=1, top_p=1, min_p=0, seed=1, top_n_sigma=2, xtc_probability=0.5, dynatemp_range=0.5)
    assert chain(sampling, never=[7]) == [
        steps.LogitBias(((7, -math.inf),)),
        steps.TopNSigma(2),
        steps.TopK(40),
        steps.MinP(steps.FLOOR),
        steps.Xtc(0.5, 0.1, 1 + steps.XTC_SEED),
        steps.DynamicTemperature(1, 0.5, 1.0),
        steps.Draw(1),
    ]


def test_what_is_not_given_takes_the_models_habit() -> None:
    *habit, draw = chain(Sampling())
    assert habit == [steps.TopK(40), steps.TopP(0.95), steps.MinP(0.1), steps.Temperature(0.7)]
    assert isinstance(draw, steps.Draw)
    assert 0 <= draw.seed <= MAX_SEED


def test_everything_given_stands_in_the_order_in_which_it_is_cheap() -> None:
    everything = Sampling(0.5, 0.8, 30, 0.05, 0.9, 1.1, 0.2, 0.3, 20, 4, ((5, 1.5),))
    assert chain(everything) == [
        steps.LogitBias(((5, 1.5),)),
        steps.TopK(30),
        steps.Penalties(20, 1.1, 0.2, 0.3),
        steps.MinP(steps.FLOOR),
        steps.Typical(0.9),
        steps.TopP(0.8),
        steps.MinP(0.05),
        steps.Temperature(0.5),
        steps.Draw(4),
    ]


def test_what_is_switched_off_has_no_step() -> None:
    off = Sampling(1, 1, 0, 0, 1, 1, 0, 0, seed=1)
    assert chain(off) == [steps.TopK(WIDE_TOP_K), steps.Temperature(1), steps.Draw(1)]


def test_greedy_has_nothing_but_bias_and_penalties_before_it() -> None:
    assert chain(GREEDY) == [steps.Greedy()]
    assert chain(Sampling(temperature=0, top_p=0.5, logit_bias=((1, 1.0),), repeat_penalty=1.2)) == [
        steps.LogitBias(((1, 1.0),)),
        steps.TopK(WIDE_TOP_K),
        steps.Penalties(64, 1.2, 0, 0),
        steps.Greedy(),
    ]

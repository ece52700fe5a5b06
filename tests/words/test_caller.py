"""Nothing is allowed that is not in scopes and grants."""

import pytest

from bodhi_asgi.caller import Caller, CallerKind, Grants, Scope, ScopeMissing


def test_a_bare_caller_may_nothing() -> None:
    caller = Caller("x", "x")
    for scope in Scope:
        with pytest.raises(ScopeMissing, match=str(scope)) as caught:
            caller.require(scope)
        assert caught.value.params == {"scope": str(scope)}
    assert not caller.may_use("demo")
    assert not caller.may_list("demo")
    assert caller.owner_id == "x"


def test_a_grant_on_a_model_shows_it_and_no_other() -> None:
    caller = Caller("x", "x", grants=Grants(models=frozenset({"demo"})))
    assert (caller.may_use("demo"), caller.may_list("demo")) == (True, True)
    assert (caller.may_use("Demo"), caller.may_list("Demo")) == (False, False)


def test_listing_does_not_mean_using() -> None:
    caller = Caller("x", "x", grants=Grants(list_models=True))
    assert (caller.may_use("demo"), caller.may_list("demo")) == (False, True)


@pytest.mark.parametrize("caller", [Caller.host(), Caller.system()])
def test_the_host_and_the_machine_may_all(caller: Caller) -> None:
    for scope in Scope:
        caller.require(scope)
    assert caller.may_use("anything")


def test_a_user_reads_and_uses_models_unless_said_otherwise() -> None:
    user = Caller.user("7", issuer="shop")
    assert (user.id, user.name, user.owner_id) == ("shop:7", "7", "shop:7")
    assert user.scopes == {Scope.MODELS_READ, Scope.INFERENCE}
    assert Caller.user("7", scopes=["models:read"], grants=Grants()).may_use("demo") is False
    with pytest.raises(ValueError, match="not empty"):
        Caller.user("")
    with pytest.raises(ValueError, match="nonsense"):
        Caller.user("7", scopes=["nonsense"])


def test_a_limit_takes_away_and_never_adds() -> None:
    user = Caller.user("7", scopes=[Scope.INFERENCE])
    assert user.limited_to([Scope.INFERENCE, Scope.TOKENS_WRITE]).scopes == {Scope.INFERENCE}
    assert user.limited_to([]).scopes == frozenset()


def test_turns_are_counted_for_the_person_or_for_the_token_without_one() -> None:
    assert Caller.host().share == Caller.system().share == ""
    assert Caller.user("ada", issuer="corp").share == "corp:ada"
    of_ada = Caller("t1", "script", CallerKind.TOKEN, owner_id="corp:ada")
    of_nobody = Caller("t2", "script", CallerKind.TOKEN, owner_id="system")
    assert (of_ada.share, of_nobody.share) == ("corp:ada", "t2")

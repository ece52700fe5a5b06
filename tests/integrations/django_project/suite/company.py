"""Many at once behind Django's middleware: first requests that come together, and two servers in one project."""

# ruff: noqa: PT009 - outside of pytest only these assertions say what differs

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from django.core.asgi import get_asgi_application
from django.test import AsyncClient

from bodhi_asgi import BodhiApp, Grants
from bodhi_asgi.testing import StillClock, visiting
from bodhi_django import bodhi_app, bodhi_asgi
from tests.integrations.django_project.suite.doors import HELLO, Doors
from tests.starts import starts_of

COOL_DOWN_S = 5.0


class FirstRequests(Doors):
    async def test_fifty_of_them_start_once_and_the_first_may_leave(self) -> None:
        starts = starts_of(bodhi_app())
        requests = [asyncio.create_task(AsyncClient().get("/bodhi/health/ready")) for _ in range(50)]
        async with asyncio.timeout(60):
            while not starts:
                await asyncio.sleep(0.001)
            requests[0].cancel()
            first, *others = await asyncio.gather(*requests, return_exceptions=True)
        self.assertIsInstance(first, asyncio.CancelledError)
        self.assertEqual({getattr(answer, "status_code", answer) for answer in others}, {200})
        self.assertEqual(len(starts), 1)

    async def test_a_start_that_fails_is_said_to_all_and_tried_again_later(self) -> None:
        app, clock = bodhi_app(), StillClock()
        app.server.lifecycle._clock = clock
        starts = starts_of(app, fail=1)
        for _ in range(2):
            answers = await asyncio.gather(*(AsyncClient().get("/bodhi/v1/models") for _ in range(10)))
            told = {(answer.status_code, answer.headers["retry-after"]) for answer in answers}
            self.assertEqual((told, len(starts)), ({(503, "5")}, 1))
        clock.advance(COOL_DOWN_S)
        self.assertEqual((await AsyncClient().get("/bodhi/v1/models")).status_code, 401)
        self.assertEqual(len(starts), 2)


class TwoOfUs(Doors):
    async def test_one_behind_the_middleware_and_one_beside_django_do_not_know_each_other(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        engine: dict[str, Any] = {"runner": "echo", "isolation": "thread", "n_ctx": 256}
        beside = BodhiApp(data_dir=folder, models={"raven": "x"}, demo=False, engine=engine)
        site = bodhi_asgi(bodhi_asgi(get_asgi_application(), path=None), beside, path="/beside")
        async with visiting(site) as client:
            created = [
                await server.create_api_token("t", grants=Grants.everything())
                for server in (bodhi_app().server, beside.server)
            ]
            tokens = [each.token.reveal() for each in created]

            async def status(path: str, model: str, token: str) -> int:
                headers = {"authorization": f"Bearer {token}"}
                question = {**HELLO, "model": model}
                return (await client.post(f"{path}/v1/chat/completions", json=question, headers=headers)).status_code

            for path, model, own, others in (("/bodhi", "parrot", *tokens), ("/beside", "raven", *tokens[::-1])):
                self.assertEqual(await status(path, model, own), 200)
                self.assertEqual(await status(path, model, others), 401)
            self.assertEqual(await status("/bodhi", "raven", tokens[0]), 404)
        self.assertEqual((bodhi_app().status, beside.status), ("stopped", "stopped"))
        self.assertTrue(list(folder.glob("*.db")))

"""The emulator delivers webhooks to a real server: signed, once, again after failures, and again on order."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from monite_async import AsyncMonite, EntityClient, UnprocessableEntityError, Upload
from monite_async.asgi import Receive, Scope, Send
from monite_async.emulator import Emulator, EmulatorSettings, launch, listen
from monite_async.emulator._remote import Remote
from monite_async.webhooks import Event, PayableEvent, Receiver, StoreReplayGuard, parse, verify
from tests.web.serving import serving

pytestmark = pytest.mark.checkout

SETTINGS = EmulatorSettings(webhook_http=True, webhook_retries=(60.0, 600.0), partner_lifetime=604_800)


class Post:
    """An application that keeps what was posted to it, and answers with the statuses that it was told, 200 in the end."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.hold: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        message = await receive()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.got.append((headers, message["body"]))
        if self.hold is not None:
            await self.hold.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        head = [(b"location", b"/elsewhere")] if status in {302, 307} else []
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": b"so be it"})

    def events(self) -> list[Event]:
        """Return what was posted, unverified."""
        return [parse(body) for _, body in self.got]


class World:
    """An emulator, a client of it, and an entity."""

    def __init__(self, emulator: Emulator, monite: AsyncMonite, acme: EntityClient) -> None:
        self.emulator = emulator
        self.monite = monite
        self.acme = acme

    async def subscribe(self, url: str, kind: str = "payable", events: list[str] | None = None) -> tuple[str, str]:
        """Subscribe, and return the subscription and its secret."""
        made = await self.monite.webhook_subscriptions.create(object_type=kind, url=url, event_types=events or [])
        return made.id, made.secret

    async def payable(self) -> str:
        """Create a payable."""
        return (await self.acme.payables.create(currency="EUR", total_amount=100_00)).id

    async def rows(self) -> list[tuple[int, int | None, bool | None]]:
        """Return of each delivery: how many requests, the last status, whether it was successful."""
        await self.emulator.webhooks_settled()
        deliveries = (await self.acme.webhook_deliveries.list()).data
        return [(row.requests_made_count, row.response_status_code, row.was_successful) for row in deliveries]


async def make_entity(monite: AsyncMonite) -> EntityClient:
    """Create an entity."""
    entity = await monite.entities.create(
        type="organization",
        email="ap@acme.test",
        address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
        organization={"legal_name": "Acme GmbH"},
    )
    return monite.entity(entity.id)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An emulator that delivers."""
    async with Emulator(SETTINGS) as emulator, AsyncMonite(**emulator.client_options()) as monite:
        yield World(emulator, monite, await make_entity(monite))


async def live(acme: EntityClient) -> Counter[str]:
    """Lead payables through their lives, and return what should have been told of it."""
    expected: Counter[str] = Counter()

    async def step(call: Any, *names: str) -> Any:
        done = await call
        expected.update(f"payable.{name}" for name in names)
        return done

    bill = (await step(acme.payables.create(currency="EUR"), "created")).id
    facts = acme.payables.update(bill, document_id="INV-1", subtotal=100_00, total_amount=100_00)
    await step(facts, "updated", "updated")  # what completes a draft makes it new
    line = await acme.payables.line_items.create(bill, name="paper", quantity=1, unit_price=100_00)
    expected["payable.line_item.created"] += 1
    await acme.payables.line_items.delete(bill, line.id)
    expected["payable.line_item.deleted"] += 1
    await step(acme.payables.submit_for_approval(bill), "submitted_for_approval")
    await step(acme.payables.reject(bill), "rejected")
    await step(acme.payables.reopen(bill), "reopened")
    await step(acme.payables.submit_for_approval(bill), "submitted_for_approval")
    await step(acme.payables.approve_payment_operation(bill), "approved")
    await step(acme.payables.mark_as_partially_paid(bill, amount_paid=40_00), "partially_paid")
    await step(acme.payables.mark_as_paid(bill), "paid")
    other = (await step(acme.payables.create(currency="EUR", total_amount=1), "created")).id
    await step(acme.payables.cancel(other), "canceled")
    third = (await step(acme.payables.create(currency="EUR"), "created")).id
    await step(acme.payables.delete(third), "deleted")
    return expected


async def test_a_payables_life_arrives_once_though_the_receiver_fails_first_and_all_is_delivered_again(
    world: World,
) -> None:
    """Every event of a payable, from creation to payment, is handled exactly once by a receiver behind uvicorn."""
    seen: Counter[str] = Counter()
    ids: Counter[str] = Counter()
    failures: set[str] = set()
    secrets: list[str] = []

    async def current() -> list[str]:
        return secrets

    receiver = Receiver(current, guard=StoreReplayGuard())

    @receiver.on()
    async def note(event: Event) -> None:
        if event.id not in failures:  # each event fails once
            failures.add(event.id)
            raise RuntimeError
        seen[event.action] += 1
        ids[event.id] += 1

    async with serving(receiver) as url:
        kinds = ("payable", "payable.line_item")
        secrets += [(await world.subscribe(f"{url}/monite", kind))[1] for kind in kinds]
        expected = await live(world.acme)
        await world.emulator.webhooks_settled()
        assert (seen, world.emulator.webhooks_waiting()) == ({}, {"due": 0, "later": expected.total()})
        world.emulator.clock.advance(60)
        await world.emulator.webhooks_settled()
        assert seen == expected
        assert world.emulator.redeliver() == expected.total()
        rows = await world.rows()
    assert seen == expected
    assert set(ids.values()) == {1}
    assert rows == [(3, 200, True)] * expected.total()
    assert world.emulator.webhooks_waiting() == {"due": 0, "later": 0}


async def test_a_delivery_is_signed_and_says_what_the_documents_say(world: World) -> None:
    """The header verifies with the subscription's secret, and the body is the event with its subscription."""
    post = Post()
    async with serving(post) as url:
        subscription, secret = await world.subscribe(url)
        payable = await world.payable()
        await world.emulator.webhooks_settled()
    (headers, body), *others = post.got
    assert not others
    assert headers["content-type"] == "application/json"
    event = verify(body, headers["monite-signature"], secret)
    assert isinstance(event, PayableEvent)
    assert (event.action, event.object_id, event.entity_id) == ("payable.created", payable, world.acme.entity_id)
    assert event.webhook_subscription_id == subscription
    listed = (await world.acme.events.list()).data[-1]
    assert (listed.id, listed.created_at, listed.api_version) == (event.id, event.created_at, event.api_version)


async def test_only_what_was_subscribed_to_is_delivered(world: World) -> None:
    """By object, by kind of event with or without the object's name, and not to one that is disabled or deleted."""
    post = Post()
    async with serving(post) as url:
        await world.subscribe(f"{url}/short", events=["updated"])
        await world.subscribe(f"{url}/long", events=["payable.updated"])
        await world.subscribe(f"{url}/other", "receivable")
        disabled, _ = await world.subscribe(f"{url}/disabled")
        await world.monite.webhook_subscriptions.disable(disabled)
        deleted, _ = await world.subscribe(f"{url}/deleted")
        await world.monite.webhook_subscriptions.delete(deleted)
        payable = await world.payable()
        await world.acme.payables.update(payable, description="x")
        await world.emulator.webhooks_settled()
        assert [event.action for event in post.events()] == ["payable.updated"] * 2
        await world.monite.webhook_subscriptions.enable(disabled)
        await world.acme.payables.update(payable, description="y")
        await world.emulator.webhooks_settled()
    assert len(post.got) == 5


async def test_a_subscription_that_goes_out_of_force_gets_no_further_requests(world: World) -> None:
    """What waits for its next time is dropped once the subscription is disabled."""
    post = Post(500)
    async with serving(post) as url:
        subscription, _ = await world.subscribe(url)
        await world.payable()
        assert await world.rows() == [(1, 500, False)]
        await world.monite.webhook_subscriptions.disable(subscription)
        world.emulator.clock.advance(60)
        assert await world.rows() == [(1, 500, False)]
    assert world.emulator.webhooks_waiting() == {"due": 0, "later": 0}


@pytest.mark.parametrize("status", [500, 400, 302, 307])
async def test_failures_are_tried_again_at_their_times_and_then_given_up(world: World, status: int) -> None:
    """After 60 and 600 seconds of the emulator's clock, and not a fourth time; a redirection is a failure too."""
    post = Post(*[status] * 4)
    async with serving(post) as url:
        await world.subscribe(url)
        await world.payable()
        for seconds, requests in ((0, 1), (58, 1), (60, 2), (500, 2), (600, 3), (10_000, 3)):
            world.emulator.clock.advance(seconds)
            assert await world.rows() == [(requests, status, False)]
        assert world.emulator.redeliver((await world.acme.events.list()).data[-1].id) == 1
        assert await world.rows() == [(4, status, False)]
        assert world.emulator.webhooks_waiting() == {"due": 0, "later": 1}
        world.emulator.clock.advance(60)
        assert await world.rows() == [(5, 200, True)]
    assert world.emulator.redeliver("no such event") == 0


async def test_a_regenerated_secret_replaces_the_old_one_at_once(world: World) -> None:
    """A delivery that is made after the regeneration is signed with the new secret, also if it failed with the old."""
    post = Post(500)
    async with serving(post) as url:
        subscription, old = await world.subscribe(url)
        await world.payable()
        await world.emulator.webhooks_settled()
        new = (await world.monite.webhook_subscriptions.regenerate_secret(subscription)).secret
        world.emulator.clock.advance(60)
        await world.emulator.webhooks_settled()
    for secret, (headers, body) in zip((old, new), post.got, strict=True):
        verify(body, headers["monite-signature"], secret)


async def test_a_slow_receiver_holds_nobody_up(world: World) -> None:
    """The emulator answers its callers while a delivery is under way, and delivers others meanwhile; then it gives up."""
    world.emulator.configure({"webhook_timeout": 0.2})
    slow, quick = Post(), Post()
    slow.hold = asyncio.Event()
    async with serving(slow) as slow_url, serving(quick) as quick_url:
        await world.subscribe(slow_url)
        await world.subscribe(quick_url)
        for _ in range(3):
            await world.payable()
        rows = await world.rows()
        assert len(quick.got) == 3
        assert sorted(rows, key=str) == sorted([(1, None, False), (1, 200, True)] * 3, key=str)
        slow.hold.set()


async def test_a_receiver_that_is_not_there_is_tried_again(world: World) -> None:
    """A connection that is refused is a failure like others; it is noted without a status."""
    async with serving(Post()) as url:
        await world.subscribe(url)
    await world.payable()
    assert await world.rows() == [(1, None, False)]
    delivery = (await world.acme.webhook_deliveries.list()).data[0]
    assert delivery.response == "ConnectError"
    async with serving(post := Post(), port=int(url.rpartition(":")[2])):
        world.emulator.clock.advance(60)
        assert await world.rows() == [(2, 200, True)]
    assert len(post.got) == 1


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        (b"", (1, None, False)),
        (b"nonsense\r\n\r\n", (1, None, False)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", (1, None, False)),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", (1, None, False)),
        (b"HTTP/1.1 200 OK\r\ncontent-type: x/y; charset=idna\r\ncontent-length: 2\r\n\r\n\xff\xfe", (1, 200, True)),
        (b"HTTP/1.1 302 Found\r\nlocation: http://[half\r\ncontent-length: 0\r\n\r\n", (1, 302, False)),
    ],
)
async def test_whatever_a_receiver_answers_is_an_outcome(
    world: World, answer: bytes, row: tuple[int, int | None, bool]
) -> None:
    """An answer that cannot be read is noted as any other, and what was delivered is not delivered for ever."""

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        await world.subscribe(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x")
        await world.payable()
        assert await world.rows() == [row]


async def test_work_that_goes_on_by_itself_tells_of_its_end(world: World) -> None:
    """OCR of an uploaded file is over when the emulator's clock says so, and nobody has to look for it to be told."""
    post = Post()
    async with serving(post) as url:
        await world.subscribe(url)
        await world.acme.payables.upload_from_file(file=Upload(b"%PDF-1.7", filename="bill.pdf"))
        gone = await world.acme.payables.upload_from_file(file=Upload(b"%PDF-1.7", filename="bill.pdf"))
        await world.acme.payables.delete(gone.id)
        await world.emulator.webhooks_settled()
        names = ["payable.created", "payable.created", "payable.deleted"]
        assert sorted(event.action for event in post.events()) == names
        world.emulator.clock.advance(6)
        await world.emulator.webhooks_settled()
    assert sorted(event.action for event in post.events()) == [*names, "payable.ocr_finished"]


async def test_what_is_due_later_comes_by_itself_as_time_passes(world: World) -> None:
    """Nobody has to move the clock: it ticks."""
    world.emulator.configure({"webhook_retries": [0.05]})
    post = Post(500)
    async with serving(post) as url:
        await world.subscribe(url)
        await world.payable()
        async with asyncio.timeout(20):
            while len(post.got) < 2:
                await asyncio.sleep(0.005)


async def test_a_frozen_clock_lets_nothing_become_due(world: World) -> None:
    """While the clock stands, only what is due is delivered; it goes on with the clock."""
    post = Post(500)
    async with serving(post) as url:
        await world.subscribe(url)
        world.emulator.clock.freeze()
        await world.payable()
        assert await world.rows() == [(1, 500, False)]
        world.emulator.clock.advance(59.9)
        assert await world.rows() == [(1, 500, False)]
        world.emulator.clock.advance(0.1)
        assert await world.rows() == [(2, 200, True)]
        world.emulator.clock.unfreeze()


async def test_nothing_is_sent_to_other_machines_unless_they_are_named() -> None:
    """An address that is not this machine's stays at no request made; plain http is refused by default, as by Monite."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options()) as monite:
        world = World(emulator, monite, await make_entity(monite))
        for url in ("http://127.0.0.1:1/x", "http://hooks.test/x"):
            with pytest.raises(UnprocessableEntityError) as caught:
                await world.subscribe(url)
            assert list(caught.value.errors) == ["body.url"]
        subscription, _ = await world.subscribe("https://hooks.test/x")
        with pytest.raises(UnprocessableEntityError):
            await monite.webhook_subscriptions.update(subscription, url="http://hooks.test/x")
        await world.payable()
        assert await world.rows() == [(0, None, None)]
        assert emulator.redeliver() == 0
        emulator.configure({"webhook_http": True, "webhook_hosts": ["hooks.test"]})
        updated = await monite.webhook_subscriptions.update(subscription, url="http://hooks.test:1/x")
        assert updated.url == "http://hooks.test:1/x"
        with pytest.raises(UnprocessableEntityError):
            await world.subscribe("http://[half/x")


async def test_a_receiver_on_this_machine_needs_no_known_certificate(world: World, tmp_path: Path) -> None:
    """Over https to loopback any certificate will do: nothing leaves the machine."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    post = Post()
    async with serving(post, tls=(str(certificate), str(key))) as url:
        await world.subscribe(url)
        await world.payable()
        assert await world.rows() == [(1, 200, True)]


async def test_the_end_of_the_emulator_cuts_deliveries_off() -> None:
    """It does not wait for a receiver that does not answer, and leaves no task; what was cut off can be sent again."""
    post = Post()
    post.hold = asyncio.Event()
    async with serving(post) as url:
        emulator = Emulator(SETTINGS)
        async with AsyncMonite(**emulator.client_options()) as monite:
            before = asyncio.all_tasks()
            async with emulator:
                world = World(emulator, monite, await make_entity(monite))
                await world.subscribe(url)
                await world.payable()
                while not post.got:
                    await asyncio.sleep(0.005)
            left = {task.get_name() for task in asyncio.all_tasks() - before}
            assert "emulator webhooks" not in left
            assert emulator.webhooks_waiting() == {"due": 1, "later": 0}
            await emulator.webhooks_settled()
            post.hold.set()
            async with emulator:
                assert await world.rows() == [(1, 200, True)]
    assert len(post.got) == 2


async def test_a_reset_forgets_what_was_to_be_sent(world: World) -> None:
    """Nothing of the time before is delivered afterwards, and the answer to what was under way changes nothing."""
    post = Post()
    post.hold = asyncio.Event()
    async with serving(post) as url:
        await world.subscribe(url)
        await world.payable()
        await world.payable()
        snapshot = world.emulator.snapshot()
        while not post.got:
            await asyncio.sleep(0.005)
        world.emulator.reset()
        assert world.emulator.webhooks_waiting() == {"due": 0, "later": 0}
        post.hold.set()
        await world.emulator.webhooks_settled()
        world.emulator.restore(snapshot)
        assert await world.rows() == [(1, 200, True)] * 2
    assert len(post.got) == 4


async def test_an_emulator_behind_a_socket_delivers_once(world: World) -> None:
    """Serving an emulator that delivers already does not make it deliver twice."""
    post = Post()
    async with serving(post) as url:
        async with listen(world.emulator):
            await world.subscribe(url)
            await world.payable()
            await world.emulator.webhooks_settled()
        await world.payable()
        await world.emulator.webhooks_settled()
    assert len(post.got) == 2


async def test_an_emulator_of_its_own_process_delivers_and_is_ordered_to_from_here() -> None:
    """``python -m monite_async.emulator`` delivers too; ``Remote`` sees what waits and orders it once more."""

    async def settled(remote: Remote) -> None:
        while (await remote.webhooks_waiting())["due"]:
            await asyncio.sleep(0.005)

    post = Post()
    arguments = ("--port", "0", "--settings", json.dumps({"webhook_http": True}))
    async with serving(post) as url, launch(arguments) as remote, AsyncMonite(**remote.client_options()) as monite:
        made = await monite.webhook_subscriptions.create(object_type="entity", url=url)
        entity = await make_entity(monite)
        await settled(remote)
        assert [(event.action, event.entity_id) for event in post.events()] == [("entity.created", entity.entity_id)]
        verify(post.got[0][1], post.got[0][0]["monite-signature"], made.secret)
        assert await remote.redeliver(post.events()[0].id) == 1
        await settled(remote)
        assert await remote.redeliver("nonsense") == 0
    assert len(post.got) == 2


@pytest.mark.parametrize("wrong", [{"webhook_retries": [-1]}, {"webhook_timeout": 0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    """Negative times are told by name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Emulator().configure(wrong)

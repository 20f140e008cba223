"""Every operation of the contract is called by its typed method; the contract judges what goes over the wire."""

from __future__ import annotations

from tests.emulator.contract import CONTRACT

if CONTRACT.is_file():  # the contract is not part of the repository
    from monite_async import AsyncMonite
    from monite_async.emulator._refused import REFUSED
    from tests.emulator.contract import Contract
    from tests.emulator.drive import driving
    from tests.typed_scenario import TypedScenario, Wire

    async def test_every_method_sends_what_the_contract_allows_and_reads_the_answer() -> None:
        """Each method sends a request that the contract allows, with just what it was given, and reads the answer whole."""
        contract = Contract()
        async with driving() as (emulator, driver):
            options = emulator.client_options()
            wire = Wire(options["transport"])
            options["transport"] = wire
            async with AsyncMonite(**options) as monite:
                play = TypedScenario(contract, emulator, driver, monite, wire)
                await play.play()
        assert play.faults == []
        assert play.refused == set(REFUSED)
        assert play.called == set(contract.operations)

"""Every operation of the contract is called; request and answer are judged by the contract itself."""

from __future__ import annotations

from tests.emulator.contract import CONTRACT

if CONTRACT.is_file():  # the contract is not part of the repository
    from monite_async.emulator._contract.routes import ROUTES
    from monite_async.emulator._refused import REFUSED
    from tests.emulator.contract import Contract
    from tests.emulator.drive import driving
    from tests.emulator.scenario import Scenario

    async def test_every_operation_answers_as_the_contract_says() -> None:
        """All operations take what the contract allows and answer what it promises, or say 501 for a stated reason."""
        contract = Contract()
        assert set(contract.operations) == {route.operation_id for route in ROUTES}
        async with driving() as (emulator, driver):
            scenario = Scenario(contract, emulator, driver)
            await scenario.play()
        assert scenario.faults == []
        assert scenario.refused == set(REFUSED)
        assert scenario.called == set(contract.operations)

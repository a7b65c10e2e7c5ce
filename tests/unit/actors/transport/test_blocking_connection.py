from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.process.shutdown import Stop
from broodmind.common.spec import RunSpec


def test_an_actor_that_waits_for_room_asks_ever_less_often():
    uplink = BlockingActorConnection("redis://127.0.0.1:1", "run", "a")  # no connection before the first call
    uplink.spec = RunSpec(TinyZerg.spec)
    uplink.backlog = uplink.spec.rollout.high_water
    waits = []

    def round_trip(wait_ms=0):
        waits.append(wait_ms)
        uplink.backlog -= len(waits) == 6

    uplink.round_trip = round_trip
    uplink.wait_for_room(Stop())
    assert waits == [50, 100, 200, 400, 400, 400]

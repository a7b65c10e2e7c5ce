"""The stand-in's program: StarCraft II's command line and websocket protocol, one request at a time.

The environment variable SC2_FAULT makes it fail: `die:SECONDS` and `hang:SECONDS` at that game time; `deaf` hangs
before it listens; `barren` has a map where nothing can be built, so that burnysc2 fails before a bot's first step and
reports a defeat. If SC2_FAULT_ONCE names a file, only the first process, which creates the file, fails.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from aiohttp import WSMsgType, web
from s2clientprotocol import sc2api_pb2 as api

from . import catalogue
from .world import ENEMY_HOME, SIZE, Body, World

LAUNCHED, INIT, IN_GAME, ENDED, QUIT = 1, 2, 3, 5, 99
SELF, NEUTRAL, ENEMY = 1, 3, 4
PLAYER = 1
ALL, NOTHING = b"\xff", b"\0"


class Game:
    """Answers requests about one game."""

    def __init__(self, fault: str, temporary: Path) -> None:
        self.status, self.temporary = LAUNCHED, temporary
        self.fault, _, self.fault_s = fault.partition(":")
        self.world = World(0, 1)
        self.told_dead = 0

    def answer(self, request: api.Request) -> api.Response:
        what = request.WhichOneof("request")
        response = api.Response(id=request.id)
        getattr(self, f"_{what}")(getattr(request, what), response)
        response.status = self.status
        return response

    def _ping(self, _, response) -> None:
        response.ping.game_version, response.ping.base_build = "stand-in", 75689

    def _create_game(self, asked, response) -> None:
        response.create_game.SetInParent()
        computer = next(player for player in asked.player_setup if player.type == 2)
        self.world, self.status = World(asked.random_seed, computer.difficulty), INIT

    def _join_game(self, _, response) -> None:
        response.join_game.player_id, self.status = PLAYER, IN_GAME

    def _data(self, _, response) -> None:
        response.data.CopyFrom(catalogue.data())

    def _game_info(self, _, response) -> None:
        info = response.game_info
        info.map_name = "Flat"
        info.player_info.add(player_id=PLAYER, type=1, race_requested=2, race_actual=2)
        info.player_info.add(player_id=2, type=2, race_requested=2, race_actual=2, difficulty=self.world.difficulty)
        raw = info.start_raw
        raw.map_size.x = raw.map_size.y = SIZE
        raw.playable_area.p0.x = raw.playable_area.p0.y = 2
        raw.playable_area.p1.x = raw.playable_area.p1.y = SIZE - 2
        _image(raw.pathing_grid, 1, ALL)
        _image(raw.placement_grid, 1, NOTHING if self.fault == "barren" else ALL)
        _image(raw.terrain_height, 8, b"\x80")
        raw.start_locations.add(x=ENEMY_HOME[0], y=ENEMY_HOME[1])

    def _observation(self, _, response) -> None:
        world = self.world
        told = response.observation.observation
        told.game_loop = world.loop
        common = told.player_common
        common.player_id = PLAYER
        common.minerals, common.vespene = int(world.minerals), int(world.vespene)
        common.food_cap, common.food_used = world.supply_cap, int(world.supply_used)
        common.food_workers, common.larva_count = len(world.of("DRONE")), len(world.of("LARVA"))
        told.score.score_details.SetInParent()
        raw = told.raw_data
        _image(raw.map_state.visibility, 8, b"\x02")
        _image(raw.map_state.creep, 1, ALL)
        raw.player.upgrade_ids.extend(world.upgrades)
        for body in world.bodies.values():
            _unit(raw.units.add(), body, world)
        self._enemy(raw)
        raw.event.dead_units.extend(world.dead[self.told_dead :])
        self.told_dead = len(world.dead)
        if world.result:
            self.status = ENDED
            response.observation.player_result.add(player_id=PLAYER, result=world.result)
            response.observation.player_result.add(player_id=2, result={1: 2, 2: 1, 3: 3}[world.result])

    def _enemy(self, raw) -> None:
        kinds, enemy = catalogue.KINDS, self.world.enemy
        shown = [(kinds["HATCHERY"], ENEMY_HOME, enemy.base_health)]
        shown += [(kinds["ZERGLING"], enemy.at, 35.0)] * int(enemy.units)
        for number, (kind, (x, y), health) in enumerate(shown):
            unit = raw.units.add(tag=900_000_000 + number, unit_type=kind.id, alliance=ENEMY, owner=2, display_type=1)
            unit.pos.x, unit.pos.y, unit.health, unit.health_max, unit.build_progress = x, y, health, kind.health, 1.0

    def _query(self, asked, response) -> None:
        for query in asked.pathing:
            (x, y), (u, v) = (query.start_pos.x, query.start_pos.y), (query.end_pos.x, query.end_pos.y)
            response.query.pathing.add(distance=((x - u) ** 2 + (y - v) ** 2) ** 0.5)
        for query in asked.placements:
            free = self.world.free((query.target_pos.x, query.target_pos.y))
            response.query.placements.add(result=1 if free else 44)

    def _action(self, asked, response) -> None:
        for action in asked.actions:
            command = action.action_raw.unit_command
            target = None
            if command.HasField("target_world_space_pos"):
                target = command.target_world_space_pos.x, command.target_world_space_pos.y
            elif command.target_unit_tag in self.world.bodies:
                target = self.world.bodies[command.target_unit_tag].at
            for tag in command.unit_tags:
                done = self.world.command(tag, command.ability_id, target)
                response.action.result.append(1 if done else 2)

    def _step(self, asked, response) -> None:
        response.step.SetInParent()
        self.world.step(asked.count)
        if self.fault_s and self.world.seconds > float(self.fault_s):
            if self.fault == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "hang":
                (self.temporary / "hung").touch()
                time.sleep(3600)

    def _leave_game(self, _, response) -> None:
        response.leave_game.SetInParent()
        self.status = LAUNCHED

    def _quit(self, _, response) -> None:
        response.quit.SetInParent()
        self.status = QUIT


def _image(image, bits: int, fill: bytes) -> None:
    image.bits_per_pixel, image.size.x, image.size.y = bits, SIZE, SIZE
    image.data = fill * (SIZE * SIZE * bits // 8)


def _unit(unit, body: Body, world: World) -> None:
    ours = body.kind.name not in {"MINERALFIELD", "VESPENEGEYSER"}
    unit.tag, unit.unit_type = body.tag, body.kind.id
    unit.alliance, unit.owner, unit.display_type = (SELF, PLAYER, 1) if ours else (NEUTRAL, 16, 1)
    unit.pos.x, unit.pos.y, unit.radius = *body.at, 0.5
    unit.health, unit.health_max, unit.build_progress = body.health, body.kind.health, body.progress
    unit.energy = body.energy
    if body.kind.name == "HATCHERY":
        unit.ideal_harvesters = 16
        unit.assigned_harvesters = min(16, len(world.of("DRONE")))
    elif body.kind.name == "EXTRACTOR":
        unit.ideal_harvesters = unit.assigned_harvesters = 3
        unit.vespene_contents = 2000
    elif body.kind.name == "MINERALFIELD":
        unit.mineral_contents = 1500
    elif body.kind.name == "VESPENEGEYSER":
        unit.vespene_contents = 2000
    if body.order is not None:
        order = unit.orders.add(ability_id=body.order.ability)
        if body.order.seconds:
            order.progress = min(0.99, body.order.done / body.order.seconds)
        if body.order.target is not None:
            order.target_world_space_pos.x, order.target_world_space_pos.y = body.order.target


async def _serve(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=1 << 26)
    await socket.prepare(request)
    game = request.app[GAME]
    async for message in socket:
        if message.type != WSMsgType.BINARY:
            continue
        response = game.answer(api.Request.FromString(message.data))
        await socket.send_bytes(response.SerializeToString())
        if game.status == QUIT:
            os._exit(0)
    return socket


GAME: web.AppKey[Game] = web.AppKey("game", Game)


def _fault() -> str:
    fault, once = os.environ.get("SC2_FAULT", ""), os.environ.get("SC2_FAULT_ONCE")
    if fault and once:
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return ""
    return fault


def main() -> None:
    options = argparse.ArgumentParser(allow_abbrev=False)
    options.add_argument("-listen")
    options.add_argument("-port", type=int)
    options.add_argument("-tempDir", type=Path)
    known, _ = options.parse_known_args()
    fault = _fault()
    if fault == "deaf":
        time.sleep(3600)
    app = web.Application()
    app[GAME] = Game(fault, known.tempDir)
    app.router.add_get("/sc2api", _serve)
    try:
        web.run_app(app, host=known.listen, port=known.port, print=None, handle_signals=False)
    except OSError as error:
        sys.exit(str(error))

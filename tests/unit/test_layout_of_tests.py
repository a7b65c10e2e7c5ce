"""The tests mirror the code: actors/client/episode.py is tested in tests/LANE/actors/client/test_episode.py."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest
from support.paths import ROOT, TESTS

if TYPE_CHECKING:
    from pathlib import PurePath

PACKAGES = ("actors", "common", "deploy", "learner")
MIRRORED_LANES = ("unit", "properties", "reference", "integration")

# Files in tests/unit that are about the repository as a whole, or about a subject that crosses modules.
WHOLE_PACKAGE = {
    "test_documents.py",
    "test_earlier_versions.py",  # what version 0.1 stored is read
    "test_layout_of_tests.py",
    "test_public_arguments.py",
    "test_public_package.py",
    "test_structure.py",
    "test_vocabulary.py",
    "learner/test_imported_games.py",  # one kind of entry, from its header to the counters
    "learner/test_evaluation_games.py",  # another one
    "support/test_world.py",  # a program that the tests themselves rely on
}

# Modules without a test file of their own name, and the file that tests them. A module that gets its own leaves the
# list, so that it can only become shorter.
TESTED_IN = {
    "actors/client/episode_buffer.py": "unit/actors/client/test_episode.py",
    "actors/client/episode_record.py": "unit/actors/client/test_episode.py",
    "actors/client/open_games.py": "unit/actors/client/test_packing.py",
    "actors/client/sender_thread.py": "integration/actors/client/test_agent.py",
    "actors/client/validation.py": "unit/actors/client/test_episode.py",
    "actors/games/tinyzerg_gymnasium.py": "unit/actors/games/test_tinyzerg.py",
    "actors/games/two_player_game.py": "unit/actors/games/test_self_play.py",
    "actors/games/vector_game.py": "unit/actors/test_rollout.py",
    "actors/inference/policy.py": "unit/actors/inference/test_batched_inference.py",
    "actors/loop.py": "integration/test_processes.py",
    "actors/offline/behaviour_policy.py": "unit/actors/offline/test_bot_experience.py",
    "actors/offline/collate_games.py": "unit/actors/offline/test_bot_experience.py",
    "actors/policies/policy_source.py": "integration/actors/policies/test_policy_follower.py",
    "actors/serve/request_batcher.py": "integration/actors/serve/test_server.py",
    "actors/serve/session.py": "integration/actors/serve/test_server.py",
    "actors/starcraft2/bot.py": "integration/actors/starcraft2/test_actor.py",
    "actors/supervision/child_process.py": "integration/actors/supervision/test_supervisor.py",
    "actors/transport/ack_journal.py": "unit/deploy/audit/test_invariants.py",
    "actors/transport/actor_names.py": "integration/learner/test_loop.py",
    "actors/config.py": "unit/deploy/config/test_tree.py",
    "common/actions.py": "reference/common/policy/test_distributions.py",
    "common/deprecated.py": "unit/test_earlier_versions.py",
    "common/errors.py": "integration/test_bad_input.py",
    "common/policy/network.py": "reference/test_gradients.py",
    "common/server/keys.py": "unit/learner/ingest/test_batcher.py",
    "common/wire/policy_npz.py": "unit/deploy/policies/test_loading.py",
    "deploy/check_game/child.py": "unit/deploy/check_game/test_check_game.py",
    "deploy/check_game/findings.py": "unit/deploy/check_game/test_check_game.py",
    "deploy/local/kept_data.py": "integration/test_client_run.py",
    "deploy/local/learner.py": "integration/test_processes.py",
    "deploy/local/process_slots.py": "integration/deploy/local/test_up.py",
    "deploy/local/serve.py": "integration/actors/serve/test_server.py",
    "deploy/policies/evaluator_command.py": "integration/deploy/policies/test_evaluator.py",
    "deploy/recording/live_record.py": "integration/deploy/local/test_up.py",
    "learner/algorithms/batch_predictions.py": "unit/learner/maths/test_popart.py",
    "learner/algorithms/hyperparameters.py": "unit/deploy/config/test_tree.py",
    "learner/algorithms/impact/config.py": "unit/deploy/config/test_tree.py",
    "learner/algorithms/impact/update.py": "reference/test_gradients.py",
    "learner/algorithms/ppo/config.py": "unit/deploy/config/test_tree.py",
    "learner/algorithms/ppo/update.py": "reference/test_gradients.py",
    "learner/algorithms/reinforce/config.py": "unit/deploy/config/test_tree.py",
    "learner/algorithms/reinforce/update.py": "reference/test_gradients.py",
    "learner/algorithms/vtrace_actor_critic/config.py": "unit/deploy/config/test_tree.py",
    "learner/algorithms/vtrace_actor_critic/update.py": "reference/test_gradients.py",
    "learner/commit/commit_thread.py": "unit/learner/persistence/test_archive_writer.py",
    "learner/commit/gauges.py": "unit/learner/roster/test_unread_streams.py",
    "learner/commit/lease.py": "integration/learner/commit/test_commit.py",
    "learner/config.py": "unit/learner/ingest/test_batcher.py",
    "learner/ledger/counters.py": "unit/learner/ingest/test_batcher.py",
    "learner/ledger/id_ranges.py": "unit/deploy/audit/test_invariants.py",
    "learner/ledger/ledger_entry.py": "unit/deploy/audit/test_invariants.py",
    "learner/ledger/stream_entry.py": "unit/learner/test_imported_games.py",
    "learner/maths/optimizer_name.py": "unit/deploy/config/test_tree.py",
    "learner/maths/losses.py": "reference/test_gradients.py",
    "learner/maths/mlp_backprop.py": "reference/test_gradients.py",
    "learner/metrics/update_metrics.py": "unit/learner/algorithms/test_trainer.py",
    "learner/persistence/checkpoints.py": "integration/test_recovery.py",
    "learner/persistence/recorder.py": "integration/deploy/recording/test_run_recorder.py",
    "learner/persistence/last_known_state.py": "integration/test_recovery.py",
    "learner/session.py": "integration/deploy/audit/test_verify.py",
}

MODULES = [
    path.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name != "__init__.py"
]


def own_tests(module: str) -> list[str]:
    """The test files that bear the module's name at the place that mirrors it, relative to tests/."""
    folder, _, name = module.rpartition("/")
    return [
        f"{lane}/{folder}/test_{name}" for lane in MIRRORED_LANES if (TESTS / lane / folder / f"test_{name}").is_file()
    ]


def module_of(place: PurePath) -> str:
    """The module after which a test file in a lane is named."""
    return place.with_name(place.name.removeprefix("test_")).as_posix()


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_a_test_of_its_name_or_says_where_it_is_tested(module):
    if module in TESTED_IN:
        assert not own_tests(module), f"{module} has a test file of its own: remove it from TESTED_IN"
        assert (TESTS / TESTED_IN[module]).is_file()
    else:
        folder, _, name = module.rpartition("/")
        assert own_tests(module), (
            f"{module}: expected tests/unit/{folder}/test_{name} (or another lane), or a line in TESTED_IN"
        )


def test_only_modules_that_exist_are_listed():
    assert set(TESTED_IN) <= set(MODULES)


@pytest.mark.parametrize("path", sorted((TESTS / "unit").rglob("test_*.py")), ids=lambda path: path.name)
def test_each_unit_test_is_named_after_a_module_at_the_mirrored_place(path):
    place = path.relative_to(TESTS / "unit")
    if place.as_posix() not in WHOLE_PACKAGE:
        assert module_of(place) in MODULES, f"{path}: expected a module at {module_of(place)}"


@pytest.mark.parametrize("lane", MIRRORED_LANES[1:])
def test_each_file_in_a_mirrored_folder_of_another_lane_is_named_after_a_module(lane):
    for package in PACKAGES:
        for path in (TESTS / lane / package).rglob("test_*.py"):
            module = module_of(path.relative_to(TESTS / lane))
            assert module in MODULES, f"{path}: expected a module at {module}"


def test_every_test_file_defines_a_test():
    for path in TESTS.rglob("test_*.py"):
        functions = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
        assert any(name.startswith("test_") for name in functions), path

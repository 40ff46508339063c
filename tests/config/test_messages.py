"""Every mistake on the command line gets one message that names the key, what was expected and what is near."""

from __future__ import annotations

import pytest

from gas_cli.config.compose import compose_config
from gas_cli.config.messages import nearest, nearest_setting, setting_names
from gas_cli.errors import UserError


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("dataset=corra", ["dataset=corra is unknown", "Did you mean cora?", "citeseer"]),
        ("model=gnat", ["model=gnat is unknown", "Did you mean gat?", "appnp, conv, custom, gat"]),
        ("experiment=none-such", ["experiment=none-such is unknown", "demo"]),
        ("trainer.epoch=3", ["trainer.epoch is not a setting", "Did you mean trainer.epochs?"]),
        ("epochs=3", ["epochs is not a setting", "Did you mean trainer.epochs?"]),
        ("datasett=cora", ["datasett is not a setting", "Did you mean dataset?"]),
        ("model.alpha=0.1", ["model.alpha is not a setting of the chosen model", "hidden_channels"]),
        ("+trainer.speed=1", ["trainer.speed is not a setting"]),
        ("+speed=1", ["speed is not a setting"]),
        ("trainer.epochs=abc", ["trainer.epochs=abc", "a whole number"]),
        ("trainer.epochs=1.5", ["trainer.epochs=1.5", "a whole number"]),
        ("trainer.epochs=null", ["trainer.epochs=null", "a whole number"]),
        ("optimizer.lr=fast", ["optimizer.lr=fast", "a number"]),
        ("deterministic=maybe", ["deterministic=maybe", "true or false"]),
        ("deterministic=2", ["deterministic=2", "true or false"]),
        ("evaluation.monitor=-1", ["evaluation.monitor=-1", "null or a whole number from 1 to"]),
        ("+model.batch_norm=0,3", ["model.batch_norm=0,3", "true or false"]),
        ("partitioner=[random,range]", ["partitioner=[random,range]", "expected one name"]),
        ("trainer.epochs=-1", ["trainer.epochs=-1", "a whole number from 1 to"]),
        ("device=gpu", ["device=gpu", "auto, cpu, cuda"]),
        ("partitioner.num_parts=many", ["partitioner.num_parts=many", "auto or a whole number from 1 to"]),
        ("partitioner.num_parts=40.5", ["partitioner.num_parts=40.5", "auto or a whole number"]),
        ("trainer.batch_parts=null", ["trainer.batch_parts=null", "auto or a whole number"]),
        ("partitioner=file", ["partitioner.file", "a path"]),
        ("dataset.name=../x", ["dataset.name", "letters"]),
        ("trainer=3", ["takes the name of one of its files"]),
        ("model=null", ["takes the name of one of its files"]),
        ("seed=${foo}", ["seed", "foo"]),
        ("seed=1,2", ["seed=1,2", "--multirun"]),
        ("seed", ["'seed' is not a valid override", "key=value"]),
        ("seed=[1,", ["is not a valid override"]),
        ("hydra/launcher=none-such", ["hydra/launcher=none-such is unknown", "basic"]),
        ("~model", ["model"]),
    ],
)
def test_message(override: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        compose_config([override])
    message = str(caught.value)
    assert [part for part in parts if part not in message] == []
    assert "\n" not in message and "full_key" not in message


@pytest.mark.parametrize("override", ["trainer.epoch=3", "trainer.epochs=abc", "seed=${foo}"])
def test_messages_are_the_same_under_a_debugger(override: str, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = []
    for cause in ("0", "1"):
        monkeypatch.setenv("OC_CAUSE", cause)  # OmegaConf keeps causes then, and links them in a circle
        with pytest.raises(UserError) as caught:
            compose_config([override])
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(("word", "value"), [("0", False), ("1", True), ("true", True), ("no", False)])
def test_a_switch_takes_what_can_be_read_in_one_way(word: str, value: bool) -> None:
    assert compose_config([f"deterministic={word}"]).deterministic is value


def test_nearest_is_silent_without_a_near_choice() -> None:
    assert nearest("zzz", ["cora", "pubmed"]) == ""
    assert nearest_setting("zzz") == ""


def test_setting_names_cover_every_type_of_a_group() -> None:
    names = setting_names()
    assert {"seed", "trainer.epochs", "model.alpha", "model.linear", "dataset.num_nodes"} <= set(names)
    assert len(names) == len(set(names))

"""Other packages: an encoder and a target that come by entry point are everywhere; a broken one is one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import RATE_HZ

ROOT = Path(__file__).parent.parent
ENTRY_POINTS = """
[mess.encoders]
toy = toy_mess:ENCODER
gone = toy_mess:NOTHING
nano = toy_mess:TAKEN
[mess.targets]
toy-level = toy_mess:TARGET
wrong = toy_mess:ENCODER
[mess.recommenders]
toy-model = toy_mess:INFO
"""
TOY = """
from dataclasses import replace

import numpy as np

from mess_core.encoders.base import Encoder, EncoderEntry, EncoderInfo, check_waveforms
from mess_core.targets.base import Target, TargetEntry, TargetValue

INFO = EncoderInfo(
    id="toy", title="Toy", summary="Level and sharpness.", source="toy_mess", revision="1", licence="MIT", files=(),
    sample_rate_hz=16_000, frame_rate_hz=1.0, n_layers=2, dim=3, layer_0="numbers", normaliser="none",
)


class Toy(Encoder):
    info = INFO

    def encode(self, waveforms):
        waveforms = check_waveforms(waveforms, self.info)
        loud = np.log(np.abs(waveforms).mean(axis=1))
        steep = np.log(np.abs(np.diff(waveforms, axis=1)).mean(axis=1))
        numbers = np.stack([loud, steep, loud * steep], axis=1)[:, None, None]
        return np.concatenate([np.ones_like(numbers), numbers], axis=1).astype(np.float32)


ENCODER = EncoderEntry(INFO, load=lambda info, paths, device: Toy())
TAKEN = EncoderEntry(replace(INFO, id="nano"), load=lambda info, paths, device: Toy())
TARGET = TargetEntry(
    Target("toy_level", "Toy level", "LUFS", "dynamics", "audio", "high", "id", ("track", "segment"), "How loud it is.",
           words=("louder", "softer")),
    measure=lambda sound: TargetValue.good(float(np.mean(sound.loudness.steps_lufs)), len(sound.loudness.powers)),
    aspects=("toy_loudness",),
)
"""
# One process: what is installed is looked for when MESS starts.
SCRIPT = """
import contextlib, io, json, os, sys

from mess_core.cli.main import main
from mess_core.encoders.registry import encoder_ids, encoder_problems
from mess_core.study.models import model_problems
from mess_core.targets.registry import target_problems


def run(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main([*arguments, "--json"])
    return code, json.loads(out.getvalue())


run("add", sys.argv[1], "--library", "music")
found = {
    "ids": encoder_ids(),
    "problems": [*encoder_problems(), *target_problems(), *model_problems()],
    "extracted": run("extract", "--encoder", "toy", "--library", "music")[0],
    "measured": run("targets", "--library", "music")[0],
    "probe": run("probe", "--encoder", "toy", "--library", "music")[1],
}
query = sys.argv[1] + "/t7.wav"
found["similar"] = run("similar", query, "--encoder", "toy", "--library", "music", "--aspects", "toy_loudness=1")
found["doctor"] = run("doctor")[1]

from mess_core.workspace.workspace import Workspace
from streamlit.testing.v1 import AppTest

at = AppTest.from_file("home.py", default_timeout=60)
at.query_params["library"] = "music"
at.run()
for page in ("1_Library", "2_Layers", "4_Listen"):
    at.switch_page(f"pages/{page}.py")
    if page == "4_Listen":  # dials stand above a list
        at.query_params["query"] = at.session_state["query"] = Workspace().catalogue.track_ids("music")[0]
    at.run()
    if page != "1_Library":
        at.selectbox(key="hearing" if page == "4_Listen" else "encoder").select("toy").run()
    found[page] = {
        "errors": [str(error.value) for error in at.exception],
        "dials": [dial.key for dial in at.select_slider],
        "options": [option for radio in at.radio for option in radio.options],
        "text": [text.value for text in at.text],
        "figures": [figure.proto.spec for figure in at.get("plotly_chart")],
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """What a process says in whose environment the toy package is installed."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "toy_mess.py").write_text(TOY)
    facts = folder / "toy_mess-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-mess\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(ENTRY_POINTS)
    music = folder / "music"
    music.mkdir()
    rng = np.random.default_rng(0)
    for number, level in enumerate(np.geomspace(0.01, 0.5, 12)):
        soundfile.write(music / f"t{number}.wav", level * rng.uniform(-1, 1, 6 * RATE_HZ), RATE_HZ)
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "MESS_HOME": str(folder / "home")}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(music)], cwd=ROOT, env=environment, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_an_encoder_of_another_package_embeds(found):
    """Listed after ours and before the twins, of which it has none; chosen on the page, and on the command line."""
    assert found["ids"].index("mfcc") < found["ids"].index("toy") < found["ids"].index("random:mert-95m")
    assert "random:toy" not in found["ids"] and found["ids"].count("nano") == 1
    assert found["extracted"] == 0 and "Toy" in found["1_Library"]["options"]


@pytest.mark.slow
def test_a_target_of_another_package_is_probed(found):
    """In the cells, in the heatmap and among the aspects, which search goes by."""
    cells = {(cell["layer"], cell["target"]): cell for cell in found["probe"]["cells"]}
    assert cells[1, "toy_level"]["r2"] > 0.9 and found["probe"]["aspects"]["toy_loudness"]["targets"] == ["toy_level"]
    assert any("Toy level" in figure for figure in found["2_Layers"]["figures"])
    assert "dial-toy_loudness" in found["4_Listen"]["dials"]
    code, answer = found["similar"]
    titles = [result["title"] for result in answer["results"]]
    assert code == 0 and answer["geometry"] == "direction" and set(titles[:2]) == {"t6", "t8"}
    assert answer["results"][0]["aspects"]["toy_loudness"]["weight"] == 1


def test_what_cannot_be_used_is_one_sentence(found):
    """Gone, taken, or no such thing: said by `doctor` and on the page, and nothing stops."""
    gone, taken, wrong, model = found["problems"]
    assert "toy-model" in model and "toy-mess" in model
    assert "'gone' of the package toy-mess cannot be used: AttributeError" in gone
    assert "there is an encoder called 'nano' already" in taken
    assert (
        wrong
        == "The target 'wrong' of the package toy-mess cannot be used: it is a EncoderEntry, expected TargetEntry."
    )
    assert {gone, taken, wrong} <= set(found["1_Library"]["text"])
    said = [finding["state"] for finding in found["doctor"]["findings"] if finding["subject"] == "packages"]
    assert said == found["problems"]
    assert not [found[page]["errors"] for page in ("1_Library", "2_Layers", "4_Listen") if found[page]["errors"]]

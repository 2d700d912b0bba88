"""What stands in `deploy/` fits the repository: every path is there, every command is one, nothing runs as root.

No image is built and no proxy started here; that these files are read by their programs is not tested, but for systemd.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mess_core.cli.main import _parser
from mess_core.serve.endpoints import BY_PATH
from mess_core.serve.settings import PORT, ServiceSettings

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
DOCS = (ROOT / "docs" / "serving.md").read_text("utf-8")
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL",
         "ENTRYPOINT", "CMD"}  # fmt: skip


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: names and what follows, comments left out, lines joined."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined)]


def compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def parsed(arguments: list[str]) -> object:
    """The verb that arguments of `python -m mess_core` name; the parser refuses what is none."""
    return _parser().parse_args(arguments)


def test_the_image_is_made_of_what_is_in_the_repository():
    """And of nothing that is kept from the builder."""
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = [rest.split() for name, rest in instructions() if name == "COPY"]
    sources = {source for words in copied if not words[0].startswith("--from") for source in words[:-1]}
    assert sources == let_in
    assert all((ROOT / source).exists() for source in sources)
    assert ignored[1] == "*" and {name for name, _ in instructions()} == KNOWN


def test_everything_that_the_code_imports_is_in_the_image():
    """The app and the core import each other and no other folder of the repository."""
    copied = {"app", "home", "mess_core", "pages"}
    others = {path.stem for path in ROOT.iterdir() if path.is_dir() or path.suffix == ".py"} - copied
    for path in [
        ROOT / "app.py",
        ROOT / "home.py",
        *(ROOT / "pages").rglob("*.py"),
        *(ROOT / "mess_core").rglob("*.py"),
    ]:
        roots = re.findall(r"^\s*(?:from|import) (\w+)", path.read_text("utf-8"), flags=re.MULTILINE)
        assert not set(roots) & (others - {"data", "docs"}), path


def test_nothing_runs_as_root():
    users = [rest for name, rest in instructions() if name == "USER"]
    order = [name for name, _ in instructions()]
    assert users and all(user.split(":")[0] not in ("root", "0") for user in users)
    assert order.index("USER") < order.index("ENTRYPOINT")
    unit = (DEPLOY / "mess.service").read_text("utf-8")
    assert re.search(r"^User=mess$", unit, flags=re.MULTILINE) and "NoNewPrivileges=yes" in unit
    for name, service in compose()["services"].items():
        assert "user" not in service and not service.get("privileged")
        if name != "database":
            assert service["cap_drop"] == ["ALL"] and service["read_only"] is True


def test_the_commands_of_image_and_compose_are_commands():
    said = dict(instructions())
    entry, command = json.loads(said["ENTRYPOINT"]), json.loads(said["CMD"])
    assert entry == [".venv/bin/python", "-m", "mess_core"]
    asked = parsed(command)
    assert asked.host == "0.0.0.0" and asked.token_file is not None  # one without the other is refused
    services = compose()["services"]
    of_service = parsed([str(word) for word in services["service"]["command"]])
    assert of_service.host == "0.0.0.0" and of_service.token_file is not None and of_service.shows_paths is False
    app = services["app"]
    assert app["entrypoint"][1:] == ["-m", "streamlit"] and app["command"][:2] == ["run", "app.py"]
    assert (ROOT / app["command"][1]).is_file()
    for probe in (said["HEALTHCHECK"], str(services["app"]["healthcheck"])):
        (path,) = re.findall(r"http://127\.0\.0\.1:\d+(/[\w/]+)", probe)
        assert path in BY_PATH or path == "/_stcore/health"


def test_compose_names_files_that_are_there_and_opens_nothing_to_the_world():
    document = compose()
    for name, service in document["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        if "build" in service:
            context = (DEPLOY / service["build"]["context"]).resolve()
            assert context == ROOT and (context / service["build"]["dockerfile"]).is_file()
        for secret in service.get("secrets", []):
            assert secret in document["secrets"]
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in document["volumes"] or source.startswith("${MUSIC")
    assert document["services"]["database"]["profiles"] == ["database"]  # only if asked for
    ignored = (ROOT / ".gitignore").read_text("utf-8")
    for secret in document["secrets"].values():
        assert f"/deploy/{secret['file'].removeprefix('./')}" in ignored.splitlines()


def test_ports_and_limits_are_those_of_the_service():
    usual = ServiceSettings()
    said = dict(instructions())
    assert str(PORT) in said["EXPOSE"].split()
    assert compose()["services"]["service"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    nginx, caddy = ((DEPLOY / name).read_text("utf-8") for name in ("nginx.conf", "Caddyfile"))
    for text in (nginx, caddy):
        assert f"127.0.0.1:{PORT}" in text and "127.0.0.1:8501" in text and "127.0.0.1:8601" not in text
    assert f"client_max_body_size    {usual.most_bytes / 1e6:.0f}m;" in nginx
    assert f"max_size {usual.most_bytes / 1e6:.0f}MB" in caddy
    unit = (DEPLOY / "mess.service").read_text("utf-8")
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > usual.receive_s + usual.hear_s


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_braces_of_the_proxies_match_and_their_addresses_are_ours(name):
    text = re.sub(r"#.*", "", (DEPLOY / name).read_text("utf-8"))
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    if name == "nginx.conf":
        bodies = re.sub(r"[{}]", ";", text).split(";")
        assert not [line for line in bodies if line.strip() and "\n" in line.strip() and "map" not in line]
    for path in re.findall(r"(?:handle|location =?)\s*(/(?:v1|health)[\w/]*)", text):
        assert [known for known in BY_PATH if known.startswith(path)], path


def unit_command() -> list[str]:
    unit = (DEPLOY / "mess.service").read_text("utf-8")
    return shlex.split(re.search(r"^ExecStart=(.+)$", unit, flags=re.MULTILINE)[1])


def test_the_unit_starts_a_command():
    command = unit_command()
    assert command[:3] == ["/opt/mess/.venv/bin/python", "-m", "mess_core"]
    asked = parsed(command[3:])
    assert asked.token_file is not None and asked.proxies == ["127.0.0.1"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_reads_the_unit(tmp_path):
    """With a program that is here in place of the one in /opt, of which it would say that it is not."""
    unit = (DEPLOY / "mess.service").read_text("utf-8")
    unit = unit.replace(unit_command()[0], sys.executable).replace("file:/opt/mess/", "file:/")
    (tmp_path / "mess.service").write_text(unit, "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / "mess.service")],
                          capture_output=True, text=True)  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "mess.service" in line]
    assert not ours, ours


def test_every_command_of_the_docs_is_one():
    commands = re.findall(r"^(?:MESS_TOKEN=\S+ )?python -m mess_core (.+?)\s*(?:#.*)?$", DOCS, flags=re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        parsed(shlex.split(command))


def test_the_docs_name_every_endpoint_field_status_and_file():
    from mess_core.serve.refusals import STATUSES

    for path in BY_PATH:
        assert f"`{path}`" in DOCS, path
    for status in STATUSES:
        assert f"| {status} |" in DOCS, status
    for path in DEPLOY.iterdir():
        if path.name not in ("token", "database-password"):
            assert path.name in DOCS, path.name
    assert "not been built" in DOCS
    for target in re.findall(r"\]\((?!http)([^)#]+)", DOCS):
        assert (ROOT / "docs" / target).exists(), target

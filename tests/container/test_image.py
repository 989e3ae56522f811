"""What the image is, and its entry point."""

from tests.container.docker_cli import READ_ONLY, USER, Docker

COMMANDS = "the commands are train (docker run IMAGE train) and serve (docker run -p 8080:8080 IMAGE serve)"


def test_entry_point_is_in_exec_form_and_the_port_is_exposed(docker: Docker) -> None:
    image = docker.inspect_image()
    assert image["Config"]["Entrypoint"] == ["/opt/kennel/entrypoint.sh"]
    assert not image["Config"]["Cmd"]
    assert list(image["Config"]["ExposedPorts"]) == ["8080/tcp"]
    assert (image["Os"], image["Architecture"]) == ("linux", "amd64")
    assert image["Config"]["User"] == ""  # SageMaker's folders belong to root


def test_no_command_and_unknown_commands_are_told_what_there_is(docker: Docker) -> None:
    none = docker.run()
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr == f"kennel: no command given; {COMMANDS}.\n"
    unknown = docker.run("trian")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == f"kennel: unknown command 'trian'; {COMMANDS}.\n"


def test_help_and_programs_run(docker: Docker) -> None:
    assert docker.run("--help").stdout == f"kennel: {COMMANDS}.\n"
    python = docker.run("python", "-c", "print(6 * 7)", options=USER)
    assert (python.returncode, python.stdout) == (0, "42\n")


def test_labels_tell_the_truth_about_torch(docker: Docker) -> None:
    labels = docker.inspect_image()["Config"]["Labels"]
    code = "import torch; from contract.version import VERSION; print(torch.version.cuda or 'none', VERSION)"
    cuda, version = docker.run("python", "-c", code).stdout.split()
    assert labels["ai.kennel.cuda"] == cuda
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.base.name"]
    # Not offered: SageMaker would take either for a promise.
    assert not [name for name in labels if name.startswith("com.amazonaws.sagemaker.capabilities")]


def test_nvidia_runtime_finds_what_it_reads(docker: Docker) -> None:
    config = docker.inspect_image()["Config"]
    variables = dict(entry.split("=", 1) for entry in config["Env"])
    if config["Labels"]["ai.kennel.cuda"] == "none":
        assert variables["NVIDIA_VISIBLE_DEVICES"] == "void"
        assert "NVIDIA_REQUIRE_CUDA" not in variables
    else:
        assert variables["NVIDIA_VISIBLE_DEVICES"] == "all"
        assert variables["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
        # So low that no driver is refused before train can say what is wrong with it.
        assert variables["NVIDIA_REQUIRE_CUDA"] == "cuda>=11.0"
    assert "CUDA_VERSION" not in variables


def test_nothing_is_in_it_that_a_container_cannot_need(docker: Docker) -> None:
    script = """
        set -eu
        cd "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
        ls -d pip pip-*.dist-info torch/include torch/test 2>/dev/null || true
        find . -name '*.a'
        find /root /opt/kennel -name .cache
        find /opt/kennel \\( -name tests -o -name 'requirements*' -o -name '*.md' -o -name '*.whl' \\)
        if [ "$1" = none ]; then
            ls -d nvidia triton 2>/dev/null || true
            find . -name 'libcudnn*' -o -name 'libcublas*' -o -name 'libnccl*' -o -name 'libtorch_cuda*'
        fi
        find /opt/kennel -mindepth 1 -maxdepth 1 | sort >&2"""
    cuda = docker.inspect_image()["Config"]["Labels"]["ai.kennel.cuda"]
    answer = docker.run("sh", "-c", script, "sh", cuda)
    assert (answer.returncode, answer.stdout) == (0, "")
    expected = ["contract", "entrypoint.sh", "model", "monitor", "pretrained", "reports", "serve", "train", "tuning"]
    assert answer.stderr.split() == [f"/opt/kennel/{name}" for name in expected]


def test_every_user_can_read_all_of_it_and_needs_to_compile_nothing(docker: Docker) -> None:
    script = """
        find /opt/kennel /opt/venv ! -type l ! -readable
        find /opt/kennel /opt/venv -type d ! -executable
        find /opt/kennel /opt/venv ! -type l -perm /go=w
        cd /opt/kennel && find contract model tuning reports monitor train serve -name '*.py' | while read -r file; do
            compiled=$(dirname "$file")/__pycache__/$(basename "$file" .py).cpython-311.pyc
            [ -e "$compiled" ] && echo "compiled" >&2 || echo "not compiled: $file"
        done"""
    answer = docker.run("sh", "-c", script, options=(*USER, *READ_ONLY))
    assert (answer.returncode, answer.stdout) == (0, "")
    assert answer.stderr.count("compiled") > 20


def test_a_folder_called_like_our_code_is_not_imported(docker: Docker) -> None:
    """SageMaker and users choose the working folder; what lies there must not shadow the commands."""
    make = "cd /tmp && mkdir train && touch train/__init__.py && echo 'raise SystemExit(99)' >train/__main__.py"
    answer = docker.run(
        "sh",
        "-c",
        f"{make} && exec /opt/kennel/entrypoint.sh train",
        options=("--network", "none"),
    )
    assert answer.returncode == 2
    assert "no training data" in answer.stderr

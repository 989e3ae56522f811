"""Two names of this machine, by which two processes on it are two hosts of a job."""

import socket

# The first of them leads.
LEADER, OTHER = "127.0.0.1", "localhost"


def host(name: str) -> dict[str, object]:
    """The configuration beside the hyperparameters, of the host with that name."""
    return {"resourceconfig": {"current_host": name, "hosts": [OTHER, LEADER], "network_interface_name": "lo"}}


def free_port(variable: str) -> dict[str, str]:
    """A free port, as the environment variable that sets it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return {variable: str(free.getsockname()[1])}

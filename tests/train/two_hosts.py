"""Two names of this machine, by which two processes on it are two hosts of a job."""

from tests.ports import free_port

# The first of them leads.
LEADER, OTHER = "127.0.0.1", "localhost"


def host(name: str) -> dict[str, object]:
    """The configuration beside the hyperparameters, of the host with that name."""
    return {"resourceconfig": {"current_host": name, "hosts": [OTHER, LEADER], "network_interface_name": "lo"}}


def port_in(variable: str) -> dict[str, str]:
    """A free port, as the environment variable that sets it."""
    return {variable: str(free_port())}

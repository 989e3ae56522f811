"""Whether everything is there that jobs need: this machine, Docker, the account."""

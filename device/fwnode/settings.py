"""What a board's configuration says, without the code that has read and checked it (fwnode.config)."""

from fwnode.errors import FwError


class ConfigError(FwError):
    """The configuration cannot be used; the text names the field and the limit."""


class Settings:
    """The fields of fwnode.config.FIELDS as attributes."""

    network: str
    model: str
    platform: str
    nodes: list
    port: int
    wifi: list
    group: str
    group_port: int
    check_s: float
    retry_s: float
    quiet_s: float
    confirm_s: float
    upload_kbps: int
    discovery_port: int
    wide_erase: bool
    open: bool
    events: bool

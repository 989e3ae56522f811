"""Whose fault an error is: the user's (one clear sentence, no traceback) or ours (everything else)."""


class UserError(Exception):
    """A fault the user can mend: the message says what was wrong, the value, and the next step.

    Every other exception that reaches a composition root is a fault of Kennel's own and keeps its traceback.
    """


class ConfigError(UserError):
    """Wrong configuration; the message holds all its faults, a line each."""


class DataError(UserError):
    """A data set that can't be trained or evaluated on."""


class DivergedError(DataError):
    """A loss that is no finite number any more: the hyperparameters don't suit the data."""


class ImageError(UserError):
    """Bytes that can't be decoded as an image."""


class ImageTooLargeError(ImageError):
    """An image of more pixels than may be decoded."""


class ArtifactError(UserError):
    """A folder that is no intact artifact."""


class WeightsError(UserError):
    """Pretrained weights that can't be had or don't fit."""


class DeviceError(UserError):
    """An accelerator that is there but can't be used."""


class StoppedError(UserError):
    """Training was ended before its time because a rule found an error, as the configuration asks."""


class TensorsError(UserError):
    """A folder that holds no saved tensors."""

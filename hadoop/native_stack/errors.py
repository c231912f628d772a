"""What can go wrong with the native stack, each with its remedy in the message.

any module -> StackError -> cli (printed without a traceback) or pytest (shown as the failure)
"""


class StackError(Exception):
    """Base of everything the stack raises on purpose. The message tells the reader what to do."""


class MissingTool(StackError):
    """A program that the stack needs is not on the PATH."""


class InstallFailed(StackError):
    """A download or build of an artifact failed."""


class ServerFailed(StackError):
    """A server ended, or was not ready in its time. Carries the end of its log."""


class NotRunning(StackError):
    """A signal was asked for, but the process is not there."""


class PortTaken(StackError):
    """A port that an instance owns by its state file is used by somebody else."""

"""The exceptions a user can cause, and the exit codes that tell the truth about them."""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """Something the user can mend: a setting, a file, a device.

    The message is one sentence or two that say what came in, what was expected and what to type instead.
    The command line prints it without a traceback and exits with code 2.
    """


class NotStarted(UserError):
    """The folder belongs to another run: nothing in it may be touched."""


class UserCodeError(UserError):
    """A mistake in the user's own code (`model.module`): one message like the others, and the traceback goes to the run's log."""


class Interrupted(Exception):
    """Ctrl-C or a termination signal: the run was saved and can be resumed (exit code 130)."""

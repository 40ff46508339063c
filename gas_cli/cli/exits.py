"""How a small command ends: one message and the exit code that tells the truth."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from gas_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Interrupted, UserError


def exit_code(program: str, work: Callable[[], None]) -> int:
    """Do `work` and return 0, or say on stderr why it ended: 1 a failure of ours, 2 a user error, 130 interrupted."""
    try:
        work()
    except UserError as error:
        return _fail(program, str(error), EXIT_USAGE)
    except (KeyboardInterrupt, Interrupted):
        return _fail(program, "interrupted.", EXIT_INTERRUPTED)
    except Exception as error:
        traceback.print_exc()
        return _fail(program, f"failed unexpectedly ({type(error).__name__}: {error}).", EXIT_FAILED)
    return 0


def _fail(program: str, message: str, code: int) -> int:
    print(f"{program}: {message}", file=sys.stderr)
    return code

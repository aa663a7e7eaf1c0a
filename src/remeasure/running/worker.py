"""The process that runs one block: `python -m remeasure.running.worker FD`.

The question comes as one line of JSON on standard input, answers go as lines of JSON to the file descriptor
FD. Standard input then stays open and silent: when it closes, whoever asked is gone, and so is the worker,
with everything it started. Standard output and error are the block's log.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import BinaryIO, NoReturn

import msgspec

from ..errors import UserError
from .messages import Answer, Ask, Done, Failed, Here, Turned
from .runner import failure_of, here, run_block


def main() -> None:
    answers = os.fdopen(int(sys.argv[1]), "wb")
    os.set_inheritable(answers.fileno(), False)
    questions = _private_stdin()
    ask = msgspec.json.decode(questions.readline(), type=Ask)
    threading.Thread(target=_end_with_parent, args=(questions,), daemon=True).start()

    def answer(message: Answer) -> None:
        sys.stdout.flush()
        answers.write(msgspec.json.encode(message) + b"\n")
        answers.flush()

    try:
        answer(Here(*here()))
        record = run_block(
            ask.block, on_round=lambda done, total: answer(Turned(done, total)), budget_s=ask.budget_s
        )
    except BrokenPipeError:
        _end_group()
    except UserError as error:
        print(error, file=sys.stderr)  # its sentence is all there is to say
        answer(Failed(failure_of(error)))
    except BaseException as error:  # a case may even call sys.exit
        sys.excepthook(type(error), error, error.__traceback__)
        answer(Failed(failure_of(error)))
    else:
        answer(Done(record))


def _private_stdin() -> BinaryIO:
    """Standard input under another number, so that what the block starts neither reads nor keeps it."""
    private = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return os.fdopen(private, "rb")


def _end_with_parent(questions: BinaryIO) -> None:
    questions.read()
    _end_group()


def _end_group() -> NoReturn:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()

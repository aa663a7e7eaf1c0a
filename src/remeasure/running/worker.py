"""The process that runs one block: `python -m remeasure.running.worker FD`.

The question comes as one line of JSON on standard input, answers go as lines of JSON to the file descriptor
FD. Standard output and error are the block's log. Its supervisor ends it, with everything it started, when whoever
asked is gone.
"""

from __future__ import annotations

import os
import sys

import msgspec

from ..errors import UserError
from .messages import Answer, Ask, Done, Failed, Here, Turned
from .runner import failure_of, here, run_block


def main() -> None:
    answers = os.fdopen(int(sys.argv[1]), "wb")
    os.set_inheritable(answers.fileno(), False)
    ask = msgspec.json.decode(sys.stdin.buffer.readline(), type=Ask)

    def answer(message: Answer) -> None:
        sys.stdout.flush()
        answers.write(msgspec.json.encode(message) + b"\n")
        answers.flush()

    try:
        answer(Here(*here()))
        record = run_block(
            ask.block, on_round=lambda done, total: answer(Turned(done, total)), budget_s=ask.budget_s
        )
    except UserError as error:
        print(error, file=sys.stderr)  # its sentence is all there is to say
        answer(Failed(failure_of(error)))
    except BaseException as error:  # a case may even call sys.exit
        sys.excepthook(type(error), error, error.__traceback__)
        answer(Failed(failure_of(error)))
    else:
        answer(Done(record))


if __name__ == "__main__":
    main()

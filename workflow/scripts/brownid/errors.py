"""The exception that a user is meant to read, and the sentences for what the machine says no to."""

import errno
import os
import re

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}
RUST_ERROR = re.compile(r"\(os error (\d+)\)")  # safetensors gives the number in its text alone


class BrownidError(Exception):
    """Something the user can mend: the message is a sentence that says what is wrong, where, and what to do.

    The command line and the job scripts print it without a traceback; every other exception is a defect of ours.
    """


def sentence_of(error: BaseException) -> str | None:
    """What to tell the user about an error that is not a defect of ours; None where it is one.

    Beside `BrownidError` these are a full disk or quota, and a place that one has no access to.
    """
    if isinstance(error, BrownidError):
        return str(error)
    found = RUST_ERROR.search(str(error))
    number = int(found[1]) if found else getattr(error, "errno", None)
    if number not in FULL | FORBIDDEN:
        return None
    # of a copy, the file that is written is the second one
    place = getattr(error, "filename2", None) or getattr(error, "filename", None) or "a file could not be written"
    remedy = "make room there" if number in FULL else "see to its permissions, or choose another place"
    return f"{place}: {os.strerror(number)}; {remedy}, then run again."

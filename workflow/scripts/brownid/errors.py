"""The one exception that a user is meant to read."""


class BrownidError(Exception):
    """Something the user can mend: the message is a sentence that says what is wrong, where, and what to do.

    The command line and the job scripts print it without a traceback; every other exception is a defect of ours.
    """

"""The one error a user can meet: a sentence that says what happened and what to do."""


class UserError(Exception):
    """Bad input or an environment that cannot do what was asked; the CLI prints it without a traceback."""

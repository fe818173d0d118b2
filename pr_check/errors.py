"""What ends a check with status 4: one exception, whose message is the one line that is said."""


class SetUpError(Exception):
    """The check could not be made, for a reason that is not the change that it is about."""

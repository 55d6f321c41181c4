"""Refuses an option that is given twice: click would take the last one and say nothing."""

from __future__ import annotations

import click


def refuse_repeated(
    command: click.Command, name: str, arguments: list[str], context: click.Context
) -> None:
    """Checks the options of a command, and of the command within it if it is a group.

    Args:
        command: the command that was typed.
        name: its name.
        arguments: what was typed after it.
        context: the context of the group that it belongs to.

    Raises:
        click.UsageError: an option that takes one value is given twice.
    """
    inner = click.Context(command, info_name=name, parent=context)
    inner.allow_interspersed_args = command.allow_interspersed_args
    try:
        _, rest, order = command.make_parser(inner).parse_args(list(arguments))
    except click.UsageError:
        return  # The command itself says that, with more.
    for parameter in order:
        single = isinstance(parameter, click.Option) and not (
            parameter.multiple or parameter.is_flag or parameter.count
        )
        if single and order.count(parameter) > 1:
            option = max(parameter.opts, key=len)
            raise click.UsageError(f"option '{option}' is given twice.", ctx=inner)
    if isinstance(command, click.Group) and rest:
        within = command.get_command(inner, rest[0])
        if within is not None:
            refuse_repeated(within, rest[0], rest[1:], inner)

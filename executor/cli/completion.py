# SPDX-License-Identifier: Apache-2.0
"""`lava-exec completion`: the script that a shell sources to complete commands and options."""

from __future__ import annotations

import click

from executor.cli.group import command


@command(
    "completion",
    formats=(),
    help="Print shell completion, to be sourced by the shell.",
    examples=(
        "bash:  echo 'source <(lava-exec completion bash)' >> ~/.bashrc",
        "zsh:   echo 'source <(lava-exec completion zsh)' >> ~/.zshrc",
        "fish:  lava-exec completion fish > ~/.config/fish/completions/lava-exec.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(*, shell: str) -> int:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    assert kind is not None  # noqa: S101 - the choice has only shells that click knows
    print(kind(root, {}, "lava-exec", "_LAVA_EXEC_COMPLETE").source())
    return 0

# SPDX-License-Identifier: Apache-2.0
"""`lava-exec keys`: the files that say who may talk to a master (spec of the files: executor.wire.keys)."""

from __future__ import annotations

import click

from executor.cli.app import app
from executor.cli.group import LazyGroup, command, common_options
from executor.errors import UsageError

_TABLE = {
    "init": ("executor.cli.keys:init", "Make the keys of this machine.", "Commands"),
    "show": ("executor.cli.keys:show", "Print this machine's public keys.", "Commands"),
    "add": ("executor.cli.keys:add", "Let a key connect to this machine's master.", "Commands"),
    "remove": ("executor.cli.keys:remove", "Take a key back.", "Commands"),
    "list": ("executor.cli.keys:list_keys", "List the keys that may connect.", "Commands"),
    "trust": ("executor.cli.keys:trust", "Store the public key of another machine's master.", "Commands"),
}

keys = LazyGroup(
    name="keys",
    help="""Make, show, authorise and revoke keys.

    Every connection is encrypted and both ends prove who they are. Roles: admin (everything), client (submit
    and read), agent (run jobs).""",
    table=_TABLE,
    examples=(
        "on the worker:  lava-exec keys show",
        "on the master:  lava-exec keys add agent lab-2 <the worker's agent key>",
        "on the worker:  lava-exec keys trust <the master's key>",
    ),
    params=common_options(),
    no_args_is_help=True,
)


@command(
    "init",
    help="""Make the keys of this machine that are missing, with mode 0600.

    With --for-master, a master's pair too, and the local command line and agent are authorised; `serve` and
    `master` do the same at their first start.""",
    examples=("lava-exec keys init", "lava-exec keys init --for-master"),
)
@click.option("--for-master", is_flag=True, help="This machine is to run a master.")
def init(*, for_master: bool) -> int:
    from executor.wire import keys as wire

    here = app()
    if for_master:
        wire.first_start(here.keys_path)
    for who in ("client", "agent"):
        wire.load_or_make(here.keys_path, who)
    here.say(f"keys are in {here.keys_path}")
    return _show()


@command(
    "show",
    help="Print this machine's public keys. They are not secret.",
    examples=("lava-exec keys show", "lava-exec keys show client"),
)
@click.argument("who", required=False, type=click.Choice(["master", "client", "agent"]))
def show(*, who: str | None) -> int:
    return _show(who)


def _show(who: str | None = None) -> int:
    here = app()
    found = {}
    for name in ("master", "client", "agent"):
        try:
            text = (here.keys_path / f"{name}.pub").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"cannot read {here.keys_path}: {error.strerror}") from None
        found[name] = text
    if who is not None:
        if who not in found:
            raise UsageError(
                f"there is no {who} key in {here.keys_path}", "`lava-exec keys init` makes keys."
            )
        print(found[who])
    elif here.json:
        here.show_json(found)
    elif not found:
        raise UsageError(f"there are no keys in {here.keys_path}", "`lava-exec keys init` makes them.")
    else:
        here.table([[name, text] for name, text in found.items()], ["who", "public key"])
    return 0


@command(
    "add",
    formats=(),
    help="Let a public key connect to this machine's master; a running master sees it at once.",
    examples=("lava-exec keys add agent lab-2 5a3f…", "lava-exec keys add client anna 81c0…"),
)
@click.argument("role")
@click.argument("name")
@click.argument("public")
def add(*, role: str, name: str, public: str) -> int:
    from executor.wire.keys import authorize

    here = app()
    path = authorize(here.keys_path, role, name, public)
    here.say(f"{role} {name} may connect ({path})")
    return 0


@command(
    "remove",
    formats=(),
    help="Take a key back; a running master refuses its next message.",
    examples=("lava-exec keys remove client anna",),
)
@click.argument("role")
@click.argument("name")
def remove(*, role: str, name: str) -> int:
    from executor.wire.keys import revoke

    here = app()
    if not revoke(here.keys_path, role, name):
        raise UsageError(
            f"there is no {role} key {name!r} in {here.keys_path}", "`lava-exec keys list` shows them."
        )
    here.say(f"{role} {name} may no longer connect")
    return 0


@command(
    "list",
    help="List the keys that may connect: of this machine's master, or with --ask of the master in use.",
    examples=("lava-exec keys list", "lava-exec keys list --ask --master lab:5560"),
)
@click.option("--ask", is_flag=True, help="Ask the master (admins only).")
def list_keys(*, ask: bool) -> int:
    here = app()
    if ask:
        from executor.model.deadline import Deadline
        from executor.wire.messages import KeyList, KeyRows

        with here.channel() as channel:
            rows = channel.call(KeyList(), KeyRows, Deadline.after(30)).rows
        found = [(row.role, row.name, row.public) for row in rows]
    else:
        from executor.wire.keys import authorized

        found = [(key.role, key.name, key.public) for key in authorized(here.keys_path)]
    if here.json:
        here.show_json([{"role": role, "name": name, "public": public} for role, name, public in found])
    elif found:
        here.table([list(row) for row in found], ["role", "name", "public key"])
    else:
        here.say(f"no key may connect ({here.keys_path / 'authorized'})")
    return 0


@command(
    "trust",
    formats=(),
    help="Store the public key of the master to talk to, as `lava-exec keys show master` prints it there.",
    examples=("lava-exec keys trust 5a3f…",),
)
@click.argument("public")
def trust(*, public: str) -> int:
    from executor.wire.keys import trust as store

    here = app()
    if (here.keys_path / "master.secret").exists():
        raise UsageError(
            f"{here.keys_path} holds the keys of a master of its own",
            "Use another directory (LAVA_EXEC_KEYS), or set master_key in the configuration file.",
        )
    store(here.keys_path, public)
    here.say(f"the master with this key is trusted ({here.keys_path / 'master.pub'})")
    return 0

# SPDX-License-Identifier: Apache-2.0
"""Deciding how an overlay goes into a file system that has content already.

As `tar -x` on the running system would do it: directories are merged and keep their modes, symlinks on the
way are followed inside the image, what stands in the place of a file is replaced. The result is a list of
steps and the blocks of metadata that these will touch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from executor.errors import JobError
from executor.tools.image.extfs import ROOT, ExtFs, Inode
from executor.tools.image.members import Form, Member
from executor.tools.image.shadow import Stretch, map_blocks

_LINKS_MAX = 40  # symlinks on the way to one file, as in the kernel


@dataclass(slots=True)
class Node:
    """Something in the tree: as the image has it (`inode`), or as a step before this one has made it."""

    path: tuple[str, ...]
    directory: bool
    inode: Inode | None = None
    target: str = ""  # of a symlink
    children: dict[str, Node | int] | None = (
        None  # of a directory, once looked at; a number: inode, not read yet
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One change: `member` goes to `path`; what stood there is removed first if `replace`."""

    path: tuple[str, ...]
    member: Member
    replace: bool


@dataclass(slots=True)
class Plan:
    """All changes, and what is known of them before they are made."""

    steps: list[Step] = field(default_factory=list)
    touched: list[Stretch] = field(default_factory=list)  # metadata to load
    freed: list[Stretch] = field(default_factory=list)  # data of replaced files


class Merge:
    """Plans the changes; reads the file system, writes nothing."""

    def __init__(self, fs: ExtFs) -> None:
        self._fs = fs
        self._plan = Plan()
        self._root = Node((), directory=True, inode=fs.inode(ROOT))

    def plan(self, members: list[Member]) -> Plan:
        """The steps for `members`. Raises JobError where overlay and image cannot be brought together."""
        for member in members:
            parent = self._directory(member.path[:-1], member)
            name = member.path[-1]
            there = self._child(parent, name)
            if member.form is Form.DIRECTORY and self._is_directory(there, member):
                continue  # merged; its mode stays
            if there is not None and there.directory:
                raise JobError(
                    f"the overlay has a {member.form.value} {member.name}, the image has a directory there"
                )
            self._put(parent, name, member, there)
        return self._plan

    def resolve(self, path: tuple[str, ...]) -> Node | None:
        """What is at `path`, symlinks on the way followed; None when there is nothing."""
        node: Node | None = self._root
        for name in path:
            if node is None:
                return None
            if node.target:
                node = self._follow(node, 0)
            if node is None or not node.directory:
                return None
            node = self._child(node, name)
        return node

    def _put(self, parent: Node, name: str, member: Member, there: Node | None) -> None:
        path = (*parent.path, name)
        if there is not None and there.inode is not None:
            self._release(there.inode)
        self._plan.steps.append(Step(path, member, there is not None))
        made = Node(path, directory=member.form is Form.DIRECTORY, target=member.target)
        made.children = {} if made.directory else None
        assert parent.children is not None  # noqa: S101  # _child has looked
        parent.children[name] = made

    def _release(self, inode: Inode) -> None:
        """A file that is replaced: debugfs reads its map, and its blocks become free."""
        self._plan.touched.extend(map_blocks(self._fs, inode))
        if inode.links <= 1:
            self._plan.freed.extend((physical, count) for _, physical, count in self._fs.runs(inode)[0])

    def _directory(self, path: tuple[str, ...], member: Member) -> Node:
        """The directory at `path`, made with mode 0755 where it is missing."""
        node = self._root
        for name in path:
            child = self._child(node, name)
            if child is not None and child.target:
                followed = self._follow(child, 0)
                if followed is None:
                    where = "/".join(child.path)
                    raise JobError(f"{member.name} of the overlay lies behind {where}, a dangling symlink")
                child = followed
            if child is None:
                made = Member((*node.path, name), Form.DIRECTORY, 0o755, member.mtime)
                self._put(node, name, made, None)
                child = self._child(node, name)
                assert child is not None  # noqa: S101  # just made
            if not child.directory:
                raise JobError(
                    f"{member.name} of the overlay lies below {'/'.join(child.path)}, which is a file"
                )
            node = child
        return node

    def _is_directory(self, node: Node | None, member: Member) -> bool:
        if node is None or not node.target:
            return node is not None and node.directory
        followed = self._follow(node, 0)
        if followed is None:
            raise JobError(f"the overlay has a directory {member.name}, the image a dangling symlink")
        return followed.directory

    def _follow(self, link: Node, depth: int) -> Node | None:
        """Where a symlink leads, inside the image; None when it leads nowhere."""
        if depth > _LINKS_MAX:
            raise JobError(f"too many symlinks at {'/'.join(link.path)} in the image")
        start = () if link.target.startswith("/") else link.path[:-1]
        trail: list[Node] = [self._root]
        for part in (*start, *link.target.split("/")):
            if part in ("", "."):
                continue
            if part == "..":
                trail = trail[:-1] or [self._root]
                continue
            node = self._child(trail[-1], part) if trail[-1].directory else None
            if node is not None and node.target:
                node = self._follow(node, depth + 1)
            if node is None:
                return None
            trail = [*self._trail(node)]
        return trail[-1]

    def _trail(self, node: Node) -> Iterator[Node]:
        """The nodes from the root to `node`, whose path holds no symlinks."""
        here = self._root
        yield here
        for name in node.path:
            child = self._child(here, name)
            assert child is not None  # noqa: S101  # the way to it has just been gone
            here = child
            yield here

    def _child(self, node: Node, name: str) -> Node | None:
        if node.children is None:
            node.children = {}
            if node.inode is not None:
                self._look(node, node.inode)
        child = node.children.get(name)
        if isinstance(child, int):
            child = node.children[name] = self._node((*node.path, name), self._fs.inode(child))
        return child

    def _node(self, path: tuple[str, ...], inode: Inode) -> Node:
        target = ""
        if inode.is_link:
            target = self._fs.content(inode, 4096).decode("utf-8", "surrogateescape")
        return Node(path, directory=inode.is_dir, inode=inode, target=target)

    def _look(self, node: Node, inode: Inode) -> None:
        """Read a directory of the image."""
        assert node.children is not None  # noqa: S101  # set by the caller
        self._plan.touched.extend(map_blocks(self._fs, inode))
        for raw, number in self._fs.entries(inode).items():
            node.children[raw.decode("utf-8", "surrogateescape")] = number

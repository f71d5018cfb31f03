# SPDX-License-Identifier: Apache-2.0
"""Is what clients saw of one key linearizable, as a register that holds bytes or nothing?

A history is linearizable if each operation can be given one moment between its call and its return, so
that a single client that did them in the order of those moments would have got the same answers. Keys
are judged one by one: a history is linearizable if that of each of its registers is.

The search is Wing and Gong's with Lowe's memory, in the form of a walk along the returns. What is kept
is the set of possible configurations: the register's state, and which of the operations under way have
had their moment. Operations get it as late as can be, at the return of one that must have had its own:
that one, and whichever are needed before it. Orders that lead to the same configuration are one. When
no configuration is left, no order explains what was answered.
"""

import dataclasses
from typing import Optional


@dataclasses.dataclass(eq=False)
class Operation:
    kind: str
    call: int  # of a clock that all clients share
    back: int
    argument: object = None
    answer: object = None
    after: Optional["Operation"] = None  # which has its moment before
    is_optional: bool = False  # it may have changed nothing, whatever was answered
    path: str = ""  # how it was done
    client: str = ""


def change(state, operation):
    """What may be in a register that held STATE after OPERATION; nothing if it could not be."""
    if operation.is_optional:
        return {state, *do(state, operation)}
    return do(state, operation)


def do(state, operation):
    kind, argument, answer = operation.kind, operation.argument, operation.answer
    is_there = state is not None
    if kind == "read":
        return (state,) if answer == state else ()
    if kind == "size":
        return (state,) if answer == (len(state) if is_there else None) else ()
    if kind == "set":  # None deletes
        return (argument,)
    if kind == "set to one":
        return argument
    # The answer of the others is whether it was done.
    if answer != (is_there != (kind == "create")):
        return ()
    if not answer:
        return (state,)
    return ({"create": lambda: b"",
             "delete": lambda: None,
             "truncate": lambda: b"",
             "overwrite": lambda: argument + state[len(argument):],
             "append": lambda: state + argument}[kind](),)


def settle(configurations, pending, due):
    """The configurations in which DUE has had its moment, it last or long before."""
    settled, seen, stack = set(), set(configurations), list(configurations)
    while stack:
        state, done = stack.pop()
        if done & pending[due]:
            settled.add((state, done))
            continue
        for operation, bit in pending.items():
            if done & bit or pending.get(operation.after, 0) & ~done:
                continue
            new = {(new, done | bit) for new in change(state, operation)} - seen
            seen |= new
            stack.extend(new)
    return settled


def find_violation(operations, initial=None):
    """None if they are linearizable; else the operation whose return leaves no order, the others that
    were under way then, and the states that were possible."""
    events = sorted([(operation.call, 0, number) for number, operation in enumerate(operations)] +
                    [(operation.back, 1, number) for number, operation in enumerate(operations)])
    pending, configurations = {}, {(initial, 0)}
    for _, is_return, number in events:
        operation = operations[number]
        if not is_return:
            bit = 1
            while bit in pending.values():
                bit <<= 1
            pending[operation] = bit
            continue
        settled = settle(configurations, pending, operation)
        bit = pending.pop(operation)
        if not settled:
            return operation, list(pending), {state for state, _ in configurations}
        configurations = {(state, done & ~bit) for state, done in settled}
    return None

# SPDX-License-Identifier: Apache-2.0
"""Histories of which it is known whether they are linearizable, for registers.py.

Each line is an operation: its bar in time, what it is, its argument and its answer. In a bar, '[' is the
call and ']' the return.
"""

import random

from registers import Operation, change, find_violation

LINEARIZABLE = {
    "nothing": "",
    "one after the other": """
        [-]         set a
            [-]     read -> a
                [-] delete -> True""",
    "a read beside a write sees what was before": """
        [-]          set a
            [------] set b
               [-]   read -> a""",
    "or what comes": """
        [-]          set a
            [------] set b
             [-]     read -> b
                [-]  read -> b""",
    "writes in the order that later reads need": """
        [------]     set a
        [------]     set b
                 [-] read -> a""",
    "a moment long before the return": """
        [---------]  set a
         [-]         read -> a
            [-]      set b
               [-]   read -> b""",
    "a chain that only one order explains": """
        [-------]      set a
         [-------]     set b
          [-------]    set c
                    [] read -> b
          [-]          read -> c
             [-]       read -> a""",
    "made once of two tries": """
        [-----]     create -> True
        [-----]     create -> False
               [-]  read -> """,
    "deleted before it is looked for": """
        [-]         set a
            [---]   delete -> True
            [---]   read -> None
            [---]   truncate -> False""",
    "bytes over bytes, and behind them": """
        [-]             set aa
            [----]      append b -> True
            [----]      overwrite c -> True
                   [-]  read -> cab
                   [-]  size -> 3""",
    "emptied, then written": """
        [-]          set aa
            [--]     truncate -> True
            [-----]  overwrite b -> True after
              []     read -> 
                  [] read -> b""",
    "touching bars are beside each other": """
        [--]    set a
           [--] read -> None""",
}

BROKEN = {
    "what nobody wrote": """
        [-]     set a
            [-] read -> b""",
    "a stale read": """
        [-]         set a
            [-]     set b
                [-] read -> a""",
    "old after new": """
        [---------] set a
         [-]        read -> a
             [-]    read -> None""",
    "two readers that disagree about the order": """
        [-----]             set a
        [-----]             set b
               [-]          read -> a
                   [-]      read -> b""",
    "a write that is lost": """
        [-]         set a
            [-]     delete -> True
                [-] read -> a""",
    "made twice": """
        [-----] create -> True
        [-----] create -> True""",
    "deleted twice": """
        [-]         set a
            [-----] delete -> True
            [-----] delete -> True""",
    "an append that is lost": """
        [-]            set a
            [---]      append b -> True
            [---]      append c -> True
                  [-]  read -> ab""",
    "written, then emptied": """
        [-]          set aa
            [---]    truncate -> True
            [---]    overwrite b -> True after
                 []  read -> """,
    "a size of before": """
        [-]         set a
            [-]     append b -> True
                [-] size -> 1""",
    "an old value that comes back": """
        [--------------]  set a
        [--------------]  set b
          [-]             read -> a
              [-]         read -> b
                   [-]    read -> a""",
}


def parse(text):
    operations = []
    for line in filter(str.strip, text.splitlines()):
        call, back = line.index("["), line.index("]")
        what, _, answer = line[back + 1:].partition("->")
        kind, *argument = what.split()
        answer = answer.strip().removesuffix("after").strip()
        if kind == "read":
            answer = None if answer == "None" else answer.encode()
        elif kind == "size":
            answer = int(answer)
        else:
            answer = answer == "True"
        operations.append(Operation(kind, call, back, argument[0].encode() if argument else None, answer,
                                    operations[-1] if line.rstrip().endswith("after") else None))
    return operations


def invent(rand, n_clients, n_steps):
    """A history that is linearizable, since each operation was done at one moment of its bar."""
    free, state, operations = [0] * n_clients, None, []
    for moment in range(10, 10 * n_steps, 10):
        client = rand.randrange(n_clients)
        if free[client] >= moment:
            continue
        operation = Operation(rand.choice(("read", "read", "size", "set", "create", "delete", "truncate",
                                           "overwrite", "append")),
                              rand.randint(free[client] + 1, moment), moment + rand.randrange(200),
                              b"%d;" % moment, client=str(client))
        if operation.kind in ("read", "size"):
            operation.answer = state if operation.kind == "read" or state is None else len(state)
        elif operation.kind == "create":
            operation.answer = state is None
        else:
            operation.answer = state is not None
        free[client] = operation.back
        state, = change(state, operation)
        operations.append(operation)
    return operations


def main():
    for name, text in LINEARIZABLE.items():
        assert find_violation(parse(text)) is None, name
    for name, text in BROKEN.items():
        assert find_violation(parse(text)), name
    for seed in range(20):
        operations = invent(random.Random(seed), 8, 400)
        assert find_violation(operations) is None, seed
        reads = [operation for operation in operations if operation.kind == "read"]
        reads[-1].answer = b"what nobody wrote"
        assert find_violation(operations)[0] is reads[-1], seed
    print(f"{len(LINEARIZABLE)} linearizable, {len(BROKEN)} broken, 20 seeds")


main()

"""The state machines of the protocol: no sockets, no clock of their own, the same code on boards, hosts and simulators.

Whatever does elliptic curves is a generator of steps. A machine takes messages and gives back a list of actions:

    ("broadcast", data)             to every node that can be reached
    ("send", source, data)          to where a message came from
    ("update", release, peers, repair)   download and install; peers is L, [(ip, port, complete)]
    ("end", outcome, reason)        the exchange is over
"""

BROADCAST = "broadcast"
SEND = "send"
UPDATE = "update"
END = "end"

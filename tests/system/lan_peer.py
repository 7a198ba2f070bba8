"""One of two neighbours, on CPython or MicroPython: hears the other's broadcasts, and posts to where they came from.

    lan_peer.py DEVICE OWN_IP OTHER_IP GROUP PORT

Prints one JSON line when each has heard the other's multicast, and each has answered the other's HTTP; ends with the
other's word that it has printed, or with its standard input's end (the test bounds it).
"""

import asyncio
import json
import sys

sys.path.insert(0, sys.argv[1])

from fwnode.net import NetError
from fwnode.net.http import post
from fwnode.net.lan import Lan
from fwnode.net.listener import Listener
from fwnode.net.messages import PATH

own, other, group, port = sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
AGAIN_S = 0.1
DONE = b"done"
found = {"heard": "", "answer": "", "asked_by": ""}
told = []


async def on_message(body, ip):
    if body == DONE:
        told.append(ip)
    found["asked_by"] = ip
    return b"answer of " + own.encode()


async def on_peer(reader, writer, ip):
    return None


async def hear(lan):
    while True:
        data, ip = await lan.receive()
        if data == b"request of " + other.encode():
            found["heard"] = ip


async def ask(body):
    try:
        found["answer"] = (await post(f"http://{other}:{port}{PATH}", body, 100)).decode()
    except NetError:
        pass  # it does not listen yet


async def main():
    await Listener(own, port, on_message, on_peer).start()
    lan = Lan(group, port)
    hearing = asyncio.create_task(hear(lan))
    while not (all(found.values()) and told):
        await lan.broadcast(b"request of " + own.encode())
        if found["heard"]:
            await ask(DONE if all(found.values()) else b"question")
        await asyncio.sleep(AGAIN_S)
    for _ in range(3):
        await ask(DONE)
    hearing.cancel()
    print(json.dumps(found))


asyncio.run(main())

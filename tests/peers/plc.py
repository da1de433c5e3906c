"""A PLC on pymodbus, for the story in which every peer is a stranger.

usage: plc.py [UNIT ...]

Serves the units (default 1) behind one free port on 127.0.0.1, prints {"port": N} and runs until its stdin closes. Each
unit, addresses base 0:

  holding 0-1   counter of the reads that covered register 0, u32, high word first
  holding 2-3   23.4 as f32, low word first (CDAB)
  holding 4     -123 as i16
  holding 5     0x1234, four BCD digits
  holding 6-19  refused (illegal data address)
  holding 20    777
  input   0     4095
  coils   0-15  every third one set
"""

import asyncio
import functools
import json
import struct
import sys
import threading

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def words(fmt, value):
    raw = struct.pack(fmt, value)
    return list(struct.unpack(f">{len(raw) // 2}H", raw))


async def count(counters, unit, function, _start, address, _count, registers, values):
    if function == 3 and address == 0 and values is None:
        counters[unit] = counters.get(unit, 0) + 1
        registers[0:2] = words(">I", counters[unit])


def unit_of(unit, counters):
    holding = [
        SimData(0, values=[0, 0] + words(">f", 23.4)[::-1] + words(">h", -123) + [0x1234], datatype=DataType.REGISTERS),
        SimData(6, count=14, datatype=DataType.INVALID),
        SimData(20, values=[777], datatype=DataType.REGISTERS),
    ]
    bits = [SimData(0, values=[i % 3 == 0 for i in range(16)], datatype=DataType.BITS)]
    inputs = [SimData(0, values=[4095], datatype=DataType.REGISTERS)]
    return SimDevice(unit, (bits, bits, holding, inputs), action=functools.partial(count, counters, unit))


async def main():
    counters = {}
    units = [int(u) for u in sys.argv[1:]] or [1]
    server = ModbusTcpServer([unit_of(u, counters) for u in units], address=("127.0.0.1", 0))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    serving = asyncio.create_task(server.serve_forever())
    while server.transport is None:
        await asyncio.sleep(0.01)
    print(json.dumps({"port": server.transport.sockets[0].getsockname()[1]}), flush=True)
    await ended.wait()
    print(json.dumps({"answered": counters}), flush=True)
    await server.shutdown()
    serving.cancel()


asyncio.run(main())

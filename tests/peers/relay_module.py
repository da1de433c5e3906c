"""A module of relays and inputs by strangers (pymodbus), with the arm of a barrier behind it.

Modbus TCP, unit 1: discrete inputs 0..15, coils 0..3 (open, close, stop, hold). Prints `{"port": n}`, then `{"coil": [n, on]}`
with each write and `{"arm": "up"|"down"}` when the arm has arrived. Lines on its standard input set an input: `input 6 on`.
Inputs as in `tests/line_gates/yard.rs`: 0 under the arm, 1 beam, 2 fire (closed at rest), 3 and 4 limits, 5 exit, 6 approach.
"""

import asyncio
import json
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

TRAVEL = 0.2
OPEN, CLOSE, HOLD = 0, 1, 3
FIRE, UP, DOWN = 2, 3, 4


def say(**what):
    print(json.dumps(what), flush=True)


class Arm:
    """Moves as the contacts say, and arrives after a while."""

    def __init__(self):
        self.inputs = [False] * 16
        self.inputs[FIRE] = self.inputs[DOWN] = True
        self.moves = None

    def coil(self, number, on):
        say(coil=[number, on])
        if on and number in (OPEN, CLOSE, HOLD):
            if self.moves:
                self.moves.cancel()
            self.moves = asyncio.ensure_future(self.move(number != CLOSE))

    async def move(self, up):
        self.inputs[UP] = self.inputs[DOWN] = False
        await asyncio.sleep(TRAVEL)
        self.inputs[UP], self.inputs[DOWN] = up, not up
        say(arm="up" if up else "down")


async def main():
    arm = Arm()

    async def action(function, _start, address, _count, registers, values):
        """Asked with each request: shows the inputs, and hears the coils."""
        if function == 2:
            word = sum(1 << n for n, on in enumerate(arm.inputs) if on)
            registers[0] = word
        elif function in (5, 15) and values is not None:
            for n, on in enumerate(values):
                arm.coil(address + n, bool(on))
        return None

    bits = SimData(0, values=[False] * 16, datatype=DataType.BITS)
    words = SimData(0, values=[0], datatype=DataType.REGISTERS)
    unit = SimDevice(1, simdata=([bits], [bits], [words], [words]), action=action)
    serving = ModbusTcpServer([unit], address=("127.0.0.1", 0))
    await serving.serve_forever(background=True)
    say(port=serving.transport.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _, number, word = line.split()
        arm.inputs[int(number)] = word == "on"
    await serving.shutdown()


asyncio.run(main())

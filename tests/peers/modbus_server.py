"""A Modbus server by strangers (pymodbus) with known values in every encoding.

Without arguments Modbus TCP; `rtu-tcp`: RTU over TCP; `serial PATH`: RTU on a serial port. Prints its port (0 for a serial
one), then serves until it is killed or its standard input closes. Units 1 and 3 exist, 2 does not answer.
Holding registers 0..83 hold the values, 100..119 are valid, 120 is not, 121..140 are; everything else is illegal.
"""

import asyncio
import struct
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def registers(fmt, value, order="abcd"):
    """Packs a value big-endian, then moves its bytes as the order says."""
    data = struct.pack(">" + fmt, value)
    words = [data[i : i + 2] for i in range(0, len(data), 2)]
    if order in ("cdab", "dcba"):
        words.reverse()
    if order in ("badc", "dcba"):
        words = [word[::-1] for word in words]
    return [int.from_bytes(word, "big") for word in words]


ORDERS = ("abcd", "cdab", "badc", "dcba")


def values():
    """The map that `wire_modbus_pymodbus.rs` reads back."""
    words = [0xFFFE, 0xFFFE, 0x1234, 0x1409, 0x8001, 250]  # u16, i16, bcd16, int_tenths, bits, tenths of %LEL
    words += registers("I", 0x12345678)[:2]  # bcd32 at 6
    for order in ORDERS:  # f32 at 8, 10, 12, 14
        words += registers("f", 123.456, order)
    for order in ORDERS:  # u32 at 16, i32 at 18; …
        words += registers("I", 4_000_000_001, order) + registers("i", -2_000_000_001, order)
    for order in ORDERS:  # u64 at 32, i64 at 36, f64 at 40; 44, 48, 52; …
        words += registers("Q", 2**64 - 3, order) + registers("q", -(2**63) + 5, order) + registers("d", -0.1, order)
    words += registers("f", float("nan")) + registers("f", float("inf"))  # 80, 82
    return words


def device(unit):
    """All four tables of one unit; coils and inputs follow the unit id."""
    coils = [bool((n >> 1 ^ n ^ unit) & 1) for n in range(40)]
    discretes = [bool(n % 3 == unit % 3) for n in range(40)]
    inputs = [unit * 1000 + n for n in range(130)]
    holding = [
        SimData(0, values=values(), datatype=DataType.REGISTERS),
        SimData(100, values=list(range(100, 120)), datatype=DataType.REGISTERS),
        SimData(121, values=list(range(121, 141)), datatype=DataType.REGISTERS),
    ]
    return SimDevice(
        unit,
        simdata=(
            [SimData(0, values=coils, datatype=DataType.BITS)],
            [SimData(0, values=discretes, datatype=DataType.BITS)],
            holding,
            [SimData(0, values=inputs, datatype=DataType.REGISTERS)],
        ),
    )


def silence_rtu(sending, packet):
    """The same on RTU, where the address comes first."""
    return b"" if sending and packet[:1] == b"\x02" else packet


def silence(sending, packet):
    """Swallows answers of unit 2; pymodbus 3.16 answers for a unit it does not have, `ignore_missing_devices` or not."""
    return b"" if sending and packet[6] == 2 else packet


def server(units):
    """The server that the arguments ask for."""
    match sys.argv[1:]:
        case ["serial", path]:
            return ModbusSerialServer(
                units, framer=FramerType.RTU, port=path, baudrate=115200, trace_packet=silence_rtu
            )
        case ["rtu-tcp"]:
            return ModbusTcpServer(
                units, framer=FramerType.RTU, address=("127.0.0.1", 0), trace_packet=silence_rtu
            )
        case _:
            return ModbusTcpServer(units, address=("127.0.0.1", 0), trace_packet=silence)


async def main():
    serving = server([device(unit) for unit in (1, 2, 3)])
    await serving.serve_forever(background=True)
    sockets = getattr(serving.transport, "sockets", None)
    print(sockets[0].getsockname()[1] if sockets else 0, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await serving.shutdown()


asyncio.run(main())

import asyncio
import sys


class Service(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, client):
        self.transport.sendto(data.upper(), client)


async def main():
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Service, local_addr=("0.0.0.0", int(sys.argv[1])))
    await asyncio.Event().wait()


asyncio.run(main())

"""Send a file over TCP, with progress on both sides and a check that all of it arrived.

file_transfer.py receive [HOST:]PORT FOLDER
file_transfer.py send HOST:PORT FILE
"""

import sys
from pathlib import Path

from wallsocket import framing, tcp

#: The header: one message with name and size. The bytes of the file follow it as they are.
HEADER = framing.LengthPrefixed(2, max_message=1000)


def progress(done: int, total: int | None) -> None:
    print(f"\r{done / 1e6:.1f} of {(total or done) / 1e6:.1f} MB", end="", file=sys.stderr)


def receive(address: str, folder: Path) -> None:
    with tcp.listen(address if ":" in address else f":{address}") as listener:
        print("listening on port", listener.local[1], flush=True)
        connection = listener.accept()
    with connection:
        length = int.from_bytes(connection.receive_exactly(2))
        name, size = connection.receive_exactly(length).decode().rsplit("\n", 1)
        target = folder / Path(name).name  # never a path of the sender's choice
        left = int(size)
        with target.open("xb") as file:
            while left:
                piece = connection.receive(min(left, 1 << 16), timeout_s=30)
                if not piece:
                    raise SystemExit(f"the sender went away, {left} bytes are missing")
                file.write(piece)
                left -= len(piece)
                progress(int(size) - left, int(size))
        connection.send_all(b"ok")
        connection.close(graceful=True)
    print(f"\n{target}: {size} bytes")


def send(address: str, path: Path) -> None:
    with tcp.connect(address, timeout_s=10) as connection, path.open("rb") as file:
        size = path.stat().st_size
        connection.send_all(HEADER.encode(f"{path.name}\n{size}".encode()))
        connection.send_file(file, count=size, progress=progress)
        connection.finish_sending()
        # "Sent" means that the kernel took it; only the receiver knows that it arrived.
        print("\narrived" if connection.receive_exactly(2, timeout_s=60) == b"ok" else "\nfailed")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["receive", address, folder]:
            receive(address, Path(folder))
        case ["send", address, path]:
            send(address, Path(path))
        case _:
            sys.exit(__doc__)

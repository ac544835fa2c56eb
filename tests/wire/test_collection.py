"""Many files: the same rows whoever does the work, also when a worker dies in the middle."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from wallsocket.errors import UsageError
from wallsocket.wire import TCP, UDP, Ethernet, IPv4
from wallsocket.wire.collection import collection
from wallsocket.wire.pcap import write

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ENDS = Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01")
THERE, BACK = IPv4("10.0.0.1", "10.0.0.2"), IPv4("10.0.0.2", "10.0.0.1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        place = tmp_path / f"day{number % 2}"
        place.mkdir(exist_ok=True)
        ending = ("pcap", "pcapng", "pcap.gz")[number % 3]
        write(place / f"{number}.{ending}", [bytes(ENDS / THERE / UDP(1, number) / bytes(20))] * (10 + number))
    (tmp_path / "day0" / "broken.pcap").write_bytes(b"not a capture file")
    cut = tmp_path / "day1" / "cut.pcap"
    write(cut, [bytes(ENDS / THERE / UDP(1, 2))] * 3)
    os.truncate(cut, cut.stat().st_size - 1)
    return tmp_path


def test_files_are_found_in_folders(folder: Path):
    assert len(collection(folder / "**/*.pcap*")) == 8
    with pytest.raises(UsageError, match="no file matches"):
        collection(folder / "*.none")


@pytest.mark.parametrize("kind", ["threads", "processes", None])
def test_every_executor_gives_the_same_rows(folder: Path, kind: str | None):
    executor = {"threads": ThreadPoolExecutor, "processes": ProcessPoolExecutor}[kind](2) if kind else None
    out = folder / "out"
    names = ["number", "time", "source", "destination_port"]
    try:
        results = collection(folder / "day*/*").decode(out, columns=names, executor=executor)
    finally:
        if executor is not None:
            executor.shutdown()
    by_name = {Path(result.path).name: result for result in results}
    assert "not a capture file" in by_name["broken.pcap"].error
    assert by_name["broken.pcap"].output is None
    assert (by_name["cut.pcap"].rows, by_name["cut.pcap"].error) == (2, "the file ends within a record")
    assert by_name["cut.pcap"].unusable_bytes == 57
    for number in range(6):
        found = next(result for name, result in by_name.items() if name.startswith(f"{number}."))
        table = parquet.read_table(found.output)
        assert table.column_names == names
        assert table["destination_port"].to_pylist() == [number] * (10 + number)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        Path(result.output).name for result in results if result.output
    )


def test_flows(tmp_path: Path):
    frames = [
        ENDS / THERE / TCP(40000, 80, 100, 0, "S"),
        ENDS / BACK / TCP(80, 40000, 900, 101, "S."),
        ENDS / THERE / TCP(40000, 80, 101, 901, "."),
        ENDS / THERE / TCP(40000, 80, 101, 901, "P.") / b"hello",
        ENDS / THERE / TCP(40000, 80, 101, 901, "P.") / b"hello",
        ENDS / BACK / TCP(80, 40000, 901, 106, "R"),
        ENDS / THERE / UDP(5, 6),
    ]
    write(tmp_path / "a.pcapng", frames)
    (first, second), _ = collection(tmp_path / "a.pcapng").flows()
    assert (first.protocol, first.address_a, first.port_a, first.address_b, first.port_b) == (
        6,
        "10.0.0.1",
        40000,
        "10.0.0.2",
        80,
    )
    assert (first.packets_a_to_b, first.packets_b_to_a, first.retransmissions, first.resets) == (4, 2, 1, 1)
    assert first.bytes_a_to_b == sum(len(bytes(frames[number])) for number in (0, 2, 3, 4))
    assert first.round_trip_s is not None
    assert (second.protocol, second.packets_a_to_b) == (17, 1)
    collection(tmp_path / "a.pcapng").write_flows(tmp_path / "flows.parquet")
    assert parquet.read_table(tmp_path / "flows.parquet").to_pylist()[0] == first._asdict()


@pytest.mark.filterwarnings("ignore")
def test_dask_workers_one_of_which_is_killed(folder: Path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        executor = client.get_executor()
        started = threading.Timer(0.05, os.kill, (victim, signal.SIGKILL))
        started.start()
        results = collection(folder / "day*/*").decode(folder / "out", columns=["number"], executor=executor)
        started.join()
    assert sum(result.rows for result in results) == sum(range(10, 16)) + 2
    assert not [path for path in (folder / "out").iterdir() if not path.name.endswith((".parquet", ".unfinished"))]
    assert len([path for path in (folder / "out").iterdir() if path.suffix == ".parquet"]) == 7

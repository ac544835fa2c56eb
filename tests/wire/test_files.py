"""Capture files through Python: reading, writing, filters, columns, bad files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wallsocket import wire
from wallsocket.errors import UsageError
from wallsocket.wire import TCP, UDP, Ethernet, IPv4, IPv6, columns, pcap
from wallsocket.wire.filter import compile_filter
from wallsocket.wire.frame import hexdump
from wallsocket.wire.pcap import Writer, copy, read, write


def packets(count: int = 100) -> list[bytes]:
    made = []
    for number in range(count):
        head = IPv4("10.0.0.1", "10.0.0.2", 64) if number % 3 else IPv6("fd00::1", "fd00::2")
        body = UDP(1000 + number, 53) if number % 2 else TCP(1000 + number, 80, number, 7, "P.", 500)
        made.append(bytes(Ethernet("02:00:00:00:00:01", "02:00:00:00:00:02") / head / body / (b"x" * number)))
    return made


@pytest.mark.parametrize("name", ["a.pcap", "a.pcapng", "a.pcap.gz", "a.pcapng.zst"])
def test_what_is_written_is_read(tmp_path, name):
    path = tmp_path / name
    assert write(path, packets()) == 100
    with read(path) as reader:
        frames = list(reader)
        assert reader.tail is None
    assert [bytes(frame) for frame in frames] == packets()
    assert [frame.number for frame in frames] == list(range(1, 101))
    assert reader.format == ("pcap" if ".pcap." in f"{name}." else "pcapng")


def test_details_are_kept(tmp_path):
    path = tmp_path / "a.pcapng"
    with Writer(path, comment="of the file") as writer:
        writer.write(packets()[0], timestamp_ns=123, comment="first\nsecond", process_id=7)
        writer.custom(32473, b"anything")
        writer.write(bytes.fromhex("45") + bytes(30), link_type=101, timestamp_ns=124)
    with read(path) as reader:
        first, second = reader
        assert (first.timestamp_ns, first.comments, first.process_id) == (123, ["first\nsecond"], 7)
        assert [interface["link_type"] for interface in reader.interfaces] == [1, 101]
        assert second.interface == 1
    again = tmp_path / "b.pcapng"
    assert copy(path, again) == 2
    assert again.read_bytes() == path.read_bytes()


def test_a_pcap_file_refuses_a_second_link_type(tmp_path):
    with Writer(tmp_path / "a.pcap") as writer, pytest.raises(UsageError, match="a pcap file holds one link type"):
        writer.write(b"E", link_type=101)


def test_filters_choose_frames(tmp_path):
    path = tmp_path / "a.pcapng"
    write(path, packets())
    chosen = [frame.number for frame in read(path, filter="udp port 53 and ip6")]
    assert chosen == [number for number in range(1, 101) if number % 2 == 0 and number % 3 == 1]
    with pytest.raises(UsageError, match=r"filter 'udp prt': .*syntax error"):
        read(path, filter="udp prt")
    assert compile_filter("ip", 101)


def test_bad_files_are_named_in_one_line(tmp_path):
    text = tmp_path / "text"
    text.write_text("this is no capture file at all")
    with pytest.raises(UsageError, match="text: not a capture file: it starts with 74 68 69 73"):
        read(text)
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(UsageError, match="empty: not a capture file: it is empty"):
        read(empty)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


def test_a_cut_file_says_how_much_was_of_no_use(tmp_path):
    path = tmp_path / "a.pcapng"
    write(path, packets())
    os.truncate(path, path.stat().st_size - 7)
    with read(path) as reader:
        assert len(list(reader)) == 99
        assert reader.tail.reason == "the file ends within a record"
        assert reader.tail.unusable_bytes + reader.tail.offset == path.stat().st_size


def test_standard_input(tmp_path):
    path = tmp_path / "a.pcap.gz"
    write(path, packets())
    code = "from wallsocket.wire import read; print(sum(len(frame) for frame in read('-')))"
    with open(path, "rb") as file:
        done = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, text=True, check=True)
    assert int(done.stdout) == sum(map(len, packets()))


def test_a_growing_file_is_followed(tmp_path):
    path = tmp_path / "a.pcapng"
    with Writer(path) as writer:
        writer.write(packets()[0])
        writer.flush()
        frames = iter(read(path, follow=True))
        assert bytes(next(frames)) == packets()[0]
        writer.write(packets()[1])
        writer.flush()
        assert bytes(next(frames)) == packets()[1]


def test_columns_are_what_the_objects_say(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    path = tmp_path / "a.pcapng"
    write(path, packets(1000))
    for workers in (1, 3):
        with read(path) as reader:
            table = pyarrow.table(reader.columns(columns.COLUMNS, workers=workers, batch_rows=100))
        assert table.column_names == list(columns.COLUMNS)
        times = table["time"].cast(pyarrow.int64()).to_pylist()
        rows = table.drop_columns(["time"]).to_pylist()
        assert times == [frame.timestamp_ns for frame in read(path)]
        for row, frame in zip(rows, read(path), strict=True):
            assert row["number"] == frame.number
            assert (row["source"], row["destination"]) == (frame.ip.source, frame.ip.destination)
            assert row["payload"] == frame.payload
            assert row["frame"] == bytes(frame)
            assert row["summary"] == frame.summary()
            assert row["transport_checksum"] == frame.checksums[1] == "good"
            assert row["ethernet_source_text"] == frame.ethernet.source
            assert row["ip_time_to_live"] == frame.ip.time_to_live
            assert row["tcp_sequence_number"] == (None if frame.tcp is None else frame.tcp.sequence_number)
            assert row["source_port"] == (frame.tcp or frame.udp).source_port
            assert row["problem"] is None


def test_columns_in_bounded_batches(tmp_path):
    path = tmp_path / "a.pcap"
    write(path, packets(100) * 100)
    with read(path) as reader:
        sizes = [len(batch) for batch in reader.columns(["number"], batch_rows=1000)]
    assert sum(sizes) == 10_000
    assert len(sizes) > 1
    with read(path, filter="udp") as reader:
        assert sum(len(batch) for batch in reader.columns(["number"], workers=2)) == 5000
    with read(path) as reader:
        assert sum(len(batch) for batch in reader.columns(["number"], limit=7)) == 7
    with pytest.raises(UsageError, match="no column 'sorce'; near: source"):
        read(path).columns(["sorce"])


def test_columns_of_a_cut_file_report_the_tail(tmp_path):
    path = tmp_path / "a.pcap"
    write(path, packets())
    os.truncate(path, path.stat().st_size - 1)
    with read(path) as reader:
        stream = reader.columns(["number"])
        assert sum(len(batch) for batch in stream) == 99
        assert stream.tail[2] == "the file ends within a record"


def test_hexdump_names_the_fields():
    frame = wire.decode(
        Ethernet("02:00:00:00:00:01", "02:00:00:00:00:02") / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 53) / b"hello"
    )
    lines = hexdump(frame).splitlines()
    assert lines[0] == "IP 10.0.0.1.1 > 10.0.0.2.53: UDP, length 5"
    assert lines[1] == f"0000  {'02 00 00 00 00 01':<47}  {'......':<16}  ethernet.destination 02:00:00:00:00:01"
    assert any(line.endswith("udp.destination_port 53") for line in lines)
    shown = bytes.fromhex("".join(line[6:53].replace(" ", "") for line in lines[1:]))
    assert shown == bytes(frame)
    plain = hexdump(frame, names=False).splitlines()[1:]
    assert len(plain) == 3


def test_disk_full_keeps_what_was_written():
    writer = Writer("/dev/full", format="pcap")

    def fill() -> None:
        for packet in packets() * 1000:
            writer.write(packet)

    with pytest.raises(OSError, match="No space left on device"):
        fill()
    with pytest.raises(OSError, match="No space left"):
        writer.close()


def test_frames_are_values():
    one, other = wire.decode(packets()[5]), wire.decode(packets()[5])
    assert one == other
    assert len({one, other}) == 1
    with pytest.raises(AttributeError):
        one.number = 3  # type: ignore[misc]
    assert repr(one) == f"<Frame 0: {one.summary()}>"


def test_default_columns_exist():
    assert set(columns.DEFAULT) <= set(columns.COLUMNS)
    assert set(columns.HEADERS) <= set(columns.COLUMNS)
    assert pcap.Tail._fields == ("unusable_bytes", "offset", "reason")

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
        made.append(bytes(Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01") / head / body / (b"x" * number)))
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


def test_a_pcap_file_has_the_link_type_of_its_first_frame(tmp_path):
    path = tmp_path / "a.pcap"
    with Writer(path) as writer:
        writer.write(IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2))
        with pytest.raises(UsageError, match="a pcap file holds one link type, this one 101; 1 is another"):
            writer.write(packets()[0])
    (frame,) = read(path)
    assert (frame.link_type, frame.summary()) == (101, "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 0")
    write(tmp_path / "empty.pcap", [])
    assert list(read(tmp_path / "empty.pcap")) == []


#: Link-layer headers in front of an IPv4 packet, by link type.
HEADERS = {
    1: bytes(12) + b"\x08\x00",
    101: b"",
    0: b"\x02\0\0\0",
    113: bytes.fromhex("00040001000602000000000200000800"),
    276: bytes.fromhex("0800000000000003000104060200000000020000"),
}


def mixed(path, link_types) -> None:
    with Writer(path) as writer:
        for number in range(10):
            body = UDP(5000, 53) / b"q" if number % 2 else TCP(1, 2)
            for link_type in link_types:
                packet = bytes(IPv4("10.0.0.1", "10.0.0.2") / body)
                writer.write(HEADERS[link_type] + packet, link_type=link_type, timestamp_ns=number)


@pytest.mark.parametrize("link_types", [*((each,) for each in HEADERS), tuple(HEADERS)])
@pytest.mark.parametrize("ending", ["pcap", "pcapng"])
def test_a_filter_judges_each_frame_by_its_link_type(tmp_path, ending, link_types):
    if ending == "pcap" and len(link_types) > 1:
        pytest.skip("a pcap file has one link type")
    path, target = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    mixed(path, link_types)
    for text in ("udp port 53", "tcp", "ip host 10.0.0.1 and udp[8] = 113"):
        count = 5 * len(link_types)
        assert len(list(read(path, filter=text))) == count
        for workers in (1, 2):
            batches = read(path, filter=text).columns(["number"], workers=workers)
            assert sum(map(len, batches)) == count
        assert copy(path, target, filter=text) == count
        assert len(list(read(target))) == count


def test_a_filter_that_only_one_link_type_knows(tmp_path):
    path = tmp_path / "a.pcapng"
    mixed(path, tuple(HEADERS))
    assert {frame.link_type for frame in read(path, filter="ifindex 3")} == {276}
    mixed(tmp_path / "b.pcap", (1,))
    with pytest.raises(UsageError, match="asks for what the bytes of a frame do not say"):
        read(tmp_path / "b.pcap", filter="ifindex 3")


def test_a_filter_sees_the_length_on_the_wire(tmp_path):
    path = tmp_path / "a.pcapng"
    write(path, [wire.decode(packets()[3], original_length=1000)])
    assert len(list(read(path, filter="greater 1000"))) == 1
    assert len(list(read(path, filter="greater 1001"))) == 0


def test_a_frame_without_a_time_stays_without_one(tmp_path):
    path = tmp_path / "a.pcapng"
    write(path, [wire.decode(packets()[0]), wire.decode(IPv4() / UDP()), wire.decode(packets()[1], original_length=99)])
    first, second, third = read(path)
    assert [frame.timestamp_ns for frame in (first, second, third)] == [None] * 3
    assert [frame.link_type for frame in (first, second, third)] == [1, 101, 1]
    assert (bytes(third), third.original_length) == (packets()[1], 99)


def test_the_file_that_is_read_is_not_written_over(tmp_path):
    path = tmp_path / "a.pcapng"
    write(path, packets())
    before = path.read_bytes()
    (tmp_path / "same").hardlink_to(path)
    for name in (path, tmp_path / "same"):
        with pytest.raises(UsageError, match="is the file that is read"):
            copy(path, name)
    assert path.read_bytes() == before


def test_columns_may_be_asked_for_again(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    for name in ("a.pcapng", "a.pcap.gz"):
        path = tmp_path / name
        write(path, packets(1000))
        for workers in (1, 2):
            stream = read(path).columns(["number", "payload_length"], workers=workers, batch_rows=100)
            assert pyarrow.RecordBatchReader.from_stream(stream).schema.names == ["number", "payload_length"]
            first = pyarrow.table(stream)
            assert first.num_rows == 1000
            assert pyarrow.table(stream) == first
            assert len(next(iter(stream))) > 0
            assert pyarrow.table(stream) == first
    reader = read(path)
    for _ in range(400):
        next(reader._core)
    rest = reader.columns(["number"])
    assert [pyarrow.table(rest)["number"].to_pylist()[0] for _ in range(2)] == [401, 401]
    assert repr(rest) == "<ColumnStream of number, decoded as it is taken>"


def test_columns_of_a_pipe_are_taken_once(tmp_path):
    path = tmp_path / "a.pcap"
    write(path, packets())
    code = (
        "from wallsocket.wire import read; s = read('-').columns(['number']); s.__arrow_c_stream__()\n"
        "print(sum(map(len, s)))\ntry: next(iter(s))\nexcept ValueError as error: print(error)"
    )
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=cat.stdout, capture_output=True, text=True, check=True
        )
    assert done.stdout.splitlines() == [
        "100",
        "the columns were taken already, and their source cannot be read twice",
    ]


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
        Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01") / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 53) / b"hello"
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

//! Decodes a capture file to columns again and again, for a profiler: `columns FILE [WORKERS] [ROUNDS] [COLUMN,…]`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for developers"
)]

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use wallsocket_wire::columns::{Batches, ParallelBatches, Plan};
use wallsocket_wire::file::{Chunk, Reader};

/// The header fields of `wallsocket.wire.columns.HEADERS`.
const HEADERS: &str = "time,captured_length,original_length,ethernet_destination,ethernet_source,ether_type,vlan,\
    source_address,destination_address,ip_protocol,ip_time_to_live,ip_length,source_port,destination_port,udp_length,\
    tcp_sequence_number,tcp_acknowledgement_number,tcp_flags,tcp_window,payload_length";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |index: usize| arguments.get(index).map_or(1, |text| text.parse().unwrap());
    let (workers, rounds) = (number(2), number(3));
    let plan = Plan {
        columns: arguments
            .get(4)
            .map_or(HEADERS, String::as_str)
            .split(',')
            .map(str::to_owned)
            .collect(),
        batch_rows: 65536,
        ..Plan::default()
    };
    for _ in 0..rounds {
        let start = Instant::now();
        let file = File::open(&arguments[1]).unwrap();
        let mut reader = Reader::new(Box::new(file.try_clone().unwrap())).unwrap();
        reader.set_file(Arc::new(file));
        let batches: Vec<_> = if workers > 1 {
            ParallelBatches::new(reader, Chunk::default(), 0, &plan, workers)
                .unwrap()
                .collect()
        } else {
            Batches::new(reader, Chunk::default(), 0, plan.clone())
                .unwrap()
                .collect()
        };
        let rows: usize = batches
            .iter()
            .map(|batch| batch.as_ref().unwrap().num_rows())
            .sum();
        let took = start.elapsed().as_secs_f64();
        println!("{rows} rows, {:.0} ns each", took * 1e9 / rows as f64);
    }
}

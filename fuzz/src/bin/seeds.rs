//! `seeds CORPUS CAPTURE…`: starting inputs for the targets `frame` and `file`, taken from captures.

use std::fs::{self, File};
use std::path::Path;

use wallsocket_wire::compress::decompressed;
use wallsocket_wire::file::{Chunk, Reader};

/// Larger inputs slow the search down.
const MAXIMUM: usize = 2048;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let corpus = arguments.next().expect("a directory");
    let corpus = Path::new(&corpus);
    fs::create_dir_all(corpus.join("frame"))?;
    fs::create_dir_all(corpus.join("file"))?;
    let (mut frames, mut files) = (0, 0);
    for (number, path) in arguments.enumerate() {
        let bytes = fs::read(&path)?;
        if bytes.len() <= MAXIMUM {
            fs::write(corpus.join("file").join(format!("seed-{number}")), &bytes)?;
            files += 1;
        }
        let Ok((source, _)) = decompressed(Box::new(File::open(&path)?)) else {
            continue;
        };
        let Ok(mut reader) = Reader::new(source) else {
            continue;
        };
        let mut chunk = Chunk::default();
        if !reader.read_chunk(&mut chunk)? {
            continue;
        }
        for (index, record) in chunk.records().iter().take(4).enumerate() {
            // The order of LINK_TYPES in the fuzzer.
            let place = [1, 0, 12, 14, 101, 108, 113, 228, 229, 276]
                .iter()
                .position(|kind| *kind == record.link_type.0);
            let data = chunk.frame_bytes(record);
            if let Some(place) = place.filter(|_| data.len() <= MAXIMUM) {
                let mut seed = vec![place as u8, 0];
                seed.extend_from_slice(data);
                fs::write(
                    corpus.join("frame").join(format!("seed-{number}-{index}")),
                    seed,
                )?;
                frames += 1;
            }
        }
    }
    eprintln!("seeds: {frames} frames, {files} files");
    Ok(())
}

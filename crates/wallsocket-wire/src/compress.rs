//! Compressed streams: recognised by their first bytes when read, chosen by name when written.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstandard,
}

impl Compression {
    /// By the first bytes of a stream.
    pub fn from_magic(start: &[u8]) -> Self {
        if start.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstandard
        } else {
            Self::None
        }
    }
}

/// A source of bytes.
pub type Source = Box<dyn Read + Send>;

/// Puts bytes that were already read in front of the rest.
struct Prefixed {
    start: io::Cursor<Vec<u8>>,
    rest: Source,
}

impl Read for Prefixed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.start.read(buffer)? {
            0 => self.rest.read(buffer),
            count => Ok(count),
        }
    }
}

/// Reads what `source` holds, decompressed when its first bytes say that it is compressed.
///
/// # Errors
/// Those of the source; an unknown zstd frame header.
pub fn decompressed(mut source: Source) -> io::Result<(Source, Compression)> {
    let mut start = Vec::with_capacity(4);
    while start.len() < 4 {
        let mut byte = [0; 4];
        match source.read(&mut byte[..4 - start.len()]) {
            Ok(0) => break,
            Ok(count) => start.extend_from_slice(&byte[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let compression = Compression::from_magic(&start);
    let whole: Source = Box::new(Prefixed {
        start: io::Cursor::new(start),
        rest: source,
    });
    Ok((
        match compression {
            Compression::None => whole,
            Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(
                1 << 16,
                whole,
            ))),
            Compression::Zstandard => Box::new(ZstandardFrames::new(BufReader::with_capacity(
                1 << 16,
                whole,
            ))?),
        },
        compression,
    ))
}

/// A sequence of zstd frames, as the format allows.
struct ZstandardFrames {
    current: Option<StreamingDecoder<BufReader<Source>, ruzstd::decoding::FrameDecoder>>,
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

impl ZstandardFrames {
    fn new(input: BufReader<Source>) -> io::Result<Self> {
        Ok(Self {
            current: Some(StreamingDecoder::new(input).map_err(invalid)?),
        })
    }
}

impl Read for ZstandardFrames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(decoder) = &mut self.current {
            let count = decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let Some(decoder) = self.current.take() else {
                break;
            };
            let mut input = decoder.into_inner();
            if !input.fill_buf()?.is_empty() {
                self.current = Some(StreamingDecoder::new(input).map_err(invalid)?);
            }
        }
        Ok(0)
    }
}

/// A sink that compresses; [`Sink::finish`] writes the end of the stream.
pub enum Sink {
    /// As it is.
    Plain(Box<dyn Write + Send>),
    /// gzip.
    Gzip(GzEncoder<Box<dyn Write + Send>>),
    /// zstd: one frame for each [`ZSTANDARD_FRAME`] bytes, so memory is bounded and a cut file loses one frame.
    Zstandard(Box<dyn Write + Send>, Vec<u8>),
}

/// Bytes of one zstd frame before compression.
const ZSTANDARD_FRAME: usize = 1 << 20;

impl Sink {
    /// Compresses what is written and passes it on.
    pub fn new(output: Box<dyn Write + Send>, compression: Compression) -> Self {
        match compression {
            Compression::None => Self::Plain(output),
            Compression::Gzip => Self::Gzip(GzEncoder::new(output, flate2::Compression::fast())),
            Compression::Zstandard => Self::Zstandard(output, Vec::new()),
        }
    }

    /// Writes what is pending and the end of the stream.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Gzip(encoder) => {
                encoder.try_finish()?;
                encoder.get_mut().flush()
            }
            Self::Zstandard(..) => self.flush(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstandard(output, pending) => {
                pending.extend_from_slice(bytes);
                if pending.len() >= ZSTANDARD_FRAME {
                    output.write_all(&compress_to_vec(
                        pending.as_slice(),
                        CompressionLevel::Fastest,
                    ))?;
                    pending.clear();
                }
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstandard(output, pending) => {
                if !pending.is_empty() {
                    output.write_all(&compress_to_vec(
                        pending.as_slice(),
                        CompressionLevel::Fastest,
                    ))?;
                    pending.clear();
                }
                output.flush()
            }
        }
    }
}

//! Frames: decoding, capture, capture files.

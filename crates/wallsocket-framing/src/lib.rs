//! How a byte stream is cut into messages: fixed length, until close, delimited, length-prefixed. Sans-IO.

/** Bytes as text and in hexadecimal. Whatever they are, what comes out is printable ASCII. */

/** @param {string} text of base64 @returns {Uint8Array} */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

const NAMED = { 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\" };

/** One byte as a piece of text: itself, or an escape like `\x1b`. @param {number} byte */
export function letter(byte) {
  return NAMED[byte] ?? (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${hex(byte)}`);
}

/** Two digits. @param {number} byte */
export function hex(byte) {
  return byte.toString(16).padStart(2, "0");
}

/**
 * Bytes as lines of text: a line ends after each line feed, or at `width` characters.
 * @param {Uint8Array} bytes @param {number} width @param {number} most lines @returns {string[]}
 */
export function asText(bytes, width = 96, most = 400) {
  const lines = [];
  let line = "";
  for (const byte of bytes) {
    const piece = letter(byte);
    if (line.length + piece.length > width) {
      lines.push(line);
      line = "";
      if (lines.length >= most) return lines;
    }
    line += piece;
    if (byte === 10) {
      lines.push(line);
      line = "";
      if (lines.length >= most) return lines;
    }
  }
  if (line) lines.push(line);
  return lines;
}

/**
 * Bytes as rows of a hexdump.
 * @param {Uint8Array} bytes @param {number} width bytes in a row @param {number} most rows
 * @returns {{offset: string, hex: string, text: string}[]}
 */
export function asHex(bytes, width = 16, most = 400) {
  const rows = [];
  for (let at = 0; at < bytes.length && rows.length < most; at += width) {
    const piece = bytes.subarray(at, at + width);
    rows.push({
      offset: at.toString(16).padStart(4, "0"),
      hex: Array.from(piece, hex).join(" "),
      text: Array.from(piece, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join(""),
    });
  }
  return rows;
}

/**
 * Which field each byte belongs to: the narrowest one that holds it.
 * @param {[number, number, string, string][]} fields offset, length, name, value @param {number} count bytes
 * @returns {number[]} position of the field of each byte, -1 for none
 */
export function fieldOfEach(fields, count) {
  const found = new Array(count).fill(-1);
  const wide = fields.map((field, index) => [field[1], index]).sort((one, other) => other[0] - one[0]);
  // The narrowest come last, and stay.
  for (const [length, index] of wide) found.fill(index, Math.min(count, fields[index][0]), Math.min(count, fields[index][0] + length));
  return found;
}

/** A long list that is fetched in pieces as they are looked at; the pieces looked at last are kept. */

export const CHUNK = 100;
const KEPT = 40;

export class Chunks {
  /** @param {(first: number, count: number) => Promise<any[]>} fetch @param {() => void} arrived */
  constructor(fetch, arrived) {
    this.fetch = fetch;
    this.arrived = arrived;
    this.pieces = new Map();
  }

  /** The item at an index, or undefined while it is fetched. @param {number} index */
  at(index) {
    const number = Math.floor(index / CHUNK);
    const piece = this.pieces.get(number);
    if (piece === undefined) {
      this.load(number);
      return undefined;
    }
    return piece.items?.[index - number * CHUNK];
  }

  /** Put in what is known already. @param {number} first a multiple of CHUNK @param {any[]} items */
  put(first, items) {
    this.keep(first / CHUNK, { items });
  }

  /** @param {number} number */
  load(number) {
    const piece = { items: undefined };
    this.keep(number, piece);
    this.fetch(number * CHUNK, CHUNK).then(
      (items) => {
        piece.items = items;
        this.arrived();
      },
      () => {
        if (this.pieces.get(number) === piece) this.pieces.delete(number);
      },
    );
  }

  keep(number, piece) {
    this.pieces.delete(number);
    this.pieces.set(number, piece);
    if (this.pieces.size > KEPT) this.pieces.delete(this.pieces.keys().next().value);
  }
}

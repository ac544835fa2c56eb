/** What the screens of the course share: the address' argument says what is open there. */

/**
 * A screen that opens what its argument names. `fetch(argument)` asks for it and gives a function that shows it, and returns what
 * is to be kept up to date and closed, if anything. An answer that comes when something else is open is dropped.
 */
export class Opening {
  constructor(fetch) {
    this.fetch = fetch;
    this.argument = null;
    this.opened = null;
  }

  async update(route, fresh) {
    const { argument } = route;
    if (argument !== this.argument) {
      this.close();
      this.argument = argument;
      const show = await this.fetch(argument);
      if (argument !== this.argument) return;
      this.opened = show() ?? null;
    }
    await this.opened?.update(route, fresh);
  }

  close() {
    this.opened?.close();
    this.opened = null;
  }
}

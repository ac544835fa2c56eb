/** Tasks for a program of one's own: write it here, or name a file; it is run and checked as by `wallsocket lesson check`. */

import { badge, fill, h } from "./dom.mjs";
import { amount } from "./format.mjs";
import { indented, lineAt } from "./indent.mjs";
import { Opening } from "./opening.mjs";
import { Picture } from "./picture.mjs";
import { blocks } from "./prose.mjs";
import { format } from "./route.mjs";

export const screen = {
  name: "exercises",
  title: "Exercises",
  when: (status) => Boolean(status?.learns),
  open: (root, page) => new Opening(async (argument) => {
    if (!argument) {
      const found = await page.source.learn("exercises");
      return () => list(root, found);
    }
    const task = await page.source.learn("exercise", { name: argument });
    return () => new Task(root, page, task);
  }),
};

const MEANINGS = { right: "good", wrong: "error", "could not run": "warning" };
const FILE = "file";
/** As the server takes at most. */
const LONGEST = 50_000;

const to = (argument, text, more = {}) => h("a", { href: format({ screen: "exercises", argument }), ...more }, text);

function list(root, found) {
  fill(root,
    h("h1", {}, "Exercises"),
    h("p", {}, "A task, and a program that you write for it, in any language. Good and awkward peers play against it; what it does wrong is said with the line and the packets."),
    found.levels.map((level) =>
      h("section", {},
        h("h2", {}, `${level.number}: ${level.what}`),
        h("ul", { class: "cards" }, level.exercises.map((one) =>
          h("li", { class: "card" },
            to(one.name, one.title, { class: "card-title" }),
            h("p", { class: "dim" }, `${one.name} · ${one.protocol} ${one.role}`),
            one.verdict ? h("p", {}, badge(one.verdict, MEANINGS[one.verdict])) : null))))));
}

class Task {
  constructor(root, page, task) {
    this.page = page;
    this.task = task;
    this.place = h("div", { class: "outcome", "aria-live": "polite" });
    const { draft } = task;
    this.text = h("textarea", {
      id: "program", maxlength: String(LONGEST), spellcheck: "false", autocomplete: "off", autocapitalize: "off",
      wrap: "off", class: "code", "aria-describedby": "keys", onkeydown: (event) => this.key(event),
      oninput: () => this.grow(),
    });
    this.text.value = draft.text;
    this.grow();
    this.file = h("input", { id: "file", value: draft.file, maxlength: "4096", autocomplete: "off", spellcheck: "false", placeholder: `/home/you/${task.name}.py` });
    const languages = [...Object.entries(task.languages), [FILE, "a file of yours"]];
    const chosen = draft.file ? FILE : draft.suffix;
    this.language = h("select", { id: "language", onchange: () => this.choose() }, languages.map(([value, words]) => h("option", { value, selected: value === chosen }, words)));
    this.button = h("button", { type: "submit", class: "primary" }, "Run and check");
    this.written = h("div", { class: "written" }, h("label", { for: "program" }, "Your program"), this.text,
      h("p", { id: "keys", class: "dim" }, "Enter keeps the indentation; Tab leads on to the button."));
    this.named = h("div", { class: "written" }, h("label", { for: "file" }, "Path of the file"), this.file,
      h("p", { class: "dim" }, "Its suffix, or its first line #!…, says how it is run. Edit it where you like, and check it again."));
    const who = task.root ? `as ${task.runs_as}, who may do everything on this machine` : `as you (${task.runs_as})`;
    fill(root,
      h("div", { class: "bar" }, to("", "All exercises", { class: "back" }), h("h1", {}, task.title)),
      h("p", { class: "dim" }, `${task.name} · level ${task.level} · ${task.protocol} ${task.role}`),
      h("div", { class: "prose" }, blocks(task.task)),
      h("p", {}, "It is started as ", h("code", {}, task.usage), "."),
      h("details", { class: "scenarios" },
        h("summary", {}, `What will happen to it (${amount(task.scenarios.length, "scenario")})`),
        h("ol", { class: "items" }, task.scenarios.map((title) => h("li", {}, title)))),
      h("form", { class: "program", onsubmit: (event) => { event.preventDefault(); this.check(); } },
        h("p", {}, h("label", { for: "language" }, "Written in ", this.language)),
        this.written, this.named,
        h("p", { class: task.root ? "notice warning" : "notice" },
          `It runs on this machine, ${who}, with your files within reach: a private network surrounds it, no sandbox. Run what you wrote or have read.`),
        h("div", { class: "bar" }, this.button)),
      this.place,
      h("p", { class: "bar" }, task.following ? to(task.following, "Next exercise", { class: "button" }) : null));
    this.choose();
  }

  choose() {
    const named = this.language.value === FILE;
    this.written.hidden = named;
    this.named.hidden = !named;
  }

  /** As many rows as the program has, and room to go on. */
  grow() {
    this.text.rows = Math.max(8, Math.min(24, this.text.value.split("\n").length + 2));
  }

  key(event) {
    if (event.key !== "Enter" || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const start = this.text.selectionStart;
    const more = indented(this.text.value, start);
    if (!more) return;
    event.preventDefault();
    this.text.setRangeText(`\n${more}`, start, this.text.selectionEnd, "end");
    this.grow();
    this.text.blur();
    this.text.focus();
  }

  async check() {
    const named = this.language.value === FILE;
    const order = named
      ? { exercise: this.task.name, file: this.file.value.trim() }
      : { exercise: this.task.name, suffix: this.language.value, text: this.text.value };
    if (named && !order.file) {
      this.file.focus();
      return;
    }
    this.button.disabled = true;
    this.close();
    fill(this.place, h("p", { class: "dim" }, "It runs, once for each scenario: this takes some seconds …"));
    try {
      const found = await this.page.source.order("check", order);
      if (!this.place.isConnected) return;
      this.show(found);
      await this.picture?.update(this.page.route, true);
      this.place.scrollIntoView({ block: "start" });
    } catch (problem) {
      if (problem.later) return;
      fill(this.place, h("p", { class: "problem-line", role: "alert" }, problem.message));
    } finally {
      this.button.disabled = false;
    }
  }

  show(found) {
    const picture = h("div", { class: "picture" });
    fill(this.place,
      h("h2", {}, "Verdict"),
      h("p", { class: "verdict-line" }, badge(found.verdict, MEANINGS[found.verdict]), found.words === found.verdict ? "" : ` ${found.words.slice(found.verdict.length + 2)}`),
      found.reason ? h("p", { class: "problem-line" }, found.reason) : null,
      found.failed ? [h("h3", {}, `Failed: ${found.failed}`), facts([["expected", found.expected], ["seen", found.seen]]), peer(found.peer)] : null,
      found.cause ? this.cause(found.cause) : null,
      others(found),
      found.recorded ? [h("h3", {}, "What was recorded"), picture] : null);
    this.picture = found.recorded ? new Picture(picture, this.page, { socket: found.socket }) : null;
  }

  cause(found) {
    const where = found.line === null ? null : this.written.hidden
      ? h("p", {}, h("strong", {}, `line ${found.line}`), " ", h("code", {}, found.code))
      : h("p", {}, h("button", { type: "button", onclick: () => this.goTo(found.line) }, `line ${found.line}`), " ", h("code", {}, found.code));
    return [h("h3", {}, `Likely cause: ${found.title} `, badge(found.certainty)), where, facts([["why", found.why], ["hint", found.hint]])];
  }

  goTo(line) {
    const [start, end] = lineAt(this.text.value, line);
    this.text.focus();
    this.text.setSelectionRange(start, end);
  }

  async update(route, fresh) {
    await this.picture?.update(route, fresh);
  }

  close() {
    this.picture?.close();
    this.picture = null;
  }
}

function facts(rows) {
  const known = rows.filter(([, text]) => text);
  return known.length ? h("dl", { class: "facts" }, known.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])) : null;
}

function peer(lines) {
  return lines.length ? h("details", { open: lines.length < 10 }, h("summary", {}, "What the other end did and saw"), h("ol", { class: "items" }, lines.map((line) => h("li", {}, line)))) : null;
}

function others(found) {
  const parts = [["Also failed", found.also_failed], ["Passed", found.passed], ["Not played", found.not_played]].filter(([, titles]) => titles.length);
  return parts.map(([word, titles]) => h("p", { class: "dim" }, `${word}: ${titles.join("; ")}.`));
}

/** Questions one after the other; the kernel answers, and a wrong answer is refuted by its experiment. */

import { badge, fill, h } from "./dom.mjs";
import { Outcome, question } from "./outcome.mjs";
import { code, prose } from "./prose.mjs";
import { format } from "./route.mjs";

export const screen = {
  name: "quiz",
  title: "Quiz",
  when: (status) => Boolean(status?.learns),
  open: (root, page) => new Quiz(root, page),
};

class Quiz {
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.asked = null;
  }

  async update(route, fresh) {
    const { door = "", seed = "" } = route.options;
    const asked = JSON.stringify([route.argument, door, seed]);
    if (asked !== this.asked) {
      this.close();
      this.asked = asked;
      const found = await this.page.source.learn("quiz", { names: route.argument, door, seed });
      if (asked !== this.asked) return;
      this.found = found;
      this.right = [];
      this.show(0);
    }
    await this.outcome?.update(route, fresh);
  }

  close() {
    this.outcome?.close();
    this.outcome = null;
  }

  head() {
    const { door = "" } = this.page.route.options;
    const doors = h("select", { "aria-label": "About", onchange: () => this.page.go({ screen: "quiz", options: { door: doors.value } }) },
      h("option", { value: "" }, "everything"),
      Object.entries(this.found.doors).map(([name, words]) => h("option", { value: name, selected: name === door }, words)));
    return h("div", { class: "bar" }, h("h1", {}, "Quiz"), doors, h("span", { class: "dim", role: "status" }, `${this.right.filter(Boolean).length} of ${this.right.length} right`));
  }

  show(at) {
    this.close();
    const claim = this.found.questions[at];
    if (!claim) {
      fill(this.root, this.head(), h("p", { class: "score" }, `${this.right.filter(Boolean).length} of ${this.right.length} right.`),
        h("p", {}, h("button", { type: "button", class: "primary", onclick: () => this.again() }, "Other questions")));
      return;
    }
    this.place = h("div", { class: "outcome", "aria-live": "polite" });
    this.form = question(claim, { ready: "That is my answer", run: (said, reason) => this.judge(at, said, reason) });
    fill(this.root, this.head(), h("p", { class: "dim" }, `Question ${at + 1} of ${this.found.questions.length} (${claim.id})`),
      claim.missing ? h("p", { class: "notice" }, `It cannot be played here: ${claim.missing}`, " ", this.next(at)) : this.form, this.place);
  }

  next(at) {
    const last = at + 1 >= this.found.questions.length;
    return h("button", { type: "button", class: "primary", onclick: () => this.show(at + 1) }, last ? "How did it go?" : "Next question");
  }

  again() {
    this.asked = null;
    this.page.replace({ ...this.page.route, options: { ...this.page.route.options, seed: String(Math.floor(Math.random() * 2 ** 30)) } });
  }

  async judge(at, said, reason) {
    const claim = this.found.questions[at];
    this.form.querySelector("button").disabled = true;
    fill(this.place, h("p", { class: "dim" }, "The kernel is asked …"));
    try {
      const found = await this.page.source.order("play", { claim: claim.id, answer: said, quiz: true });
      if (!this.place.isConnected) return;
      this.right[at] = found.right === true;
      const next = h("p", {}, this.next(at), " ", h("a", { href: format({ screen: "lessons", argument: claim.id }) }, "The claim"));
      if (found.right) {
        fill(this.place, h("p", { class: "said-line" }, badge("right", "good"), " ", prose(found.right_answer), ". ", prose(found.because)), next);
      } else {
        const body = h("div", { class: "outcome" });
        this.outcome = new Outcome(body, this.page, found, reason);
        fill(this.place, found.right === null ? h("p", {}, "The experiment gave no answer here.") : null, body,
          h("details", { class: "programs" }, h("summary", {}, claim.hosts ? `The program (${claim.hosts})` : "The program"), claim.programs.map(code)), next);
        await this.outcome.update(this.page.route, true);
      }
      this.root.querySelector("[role=status]").textContent = `${this.right.filter(Boolean).length} of ${this.right.length} right`;
    } catch (problem) {
      if (problem.later) return;
      this.form.querySelector("button").disabled = false;
      fill(this.place, h("p", { class: "problem-line", role: "alert" }, problem.message));
    }
  }
}

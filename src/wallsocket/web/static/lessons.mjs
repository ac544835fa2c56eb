/** The course: the list of lessons, a lesson, and a claim: predict, run, see. */

import { badge, fill, h } from "./dom.mjs";
import { amount } from "./format.mjs";
import { Opening } from "./opening.mjs";
import { Outcome, question, verdict } from "./outcome.mjs";
import { blocks, code, prose } from "./prose.mjs";
import { format } from "./route.mjs";

export const screen = {
  name: "lessons",
  title: "Lessons",
  when: (status) => Boolean(status?.learns),
  open: (root, page) => new Opening(async (argument) => {
    const learn = (name, options) => page.source.learn(name, options);
    if (!argument) {
      const found = await learn("lessons");
      return () => list(root, found);
    }
    if (/^[A-Z]+\d+$/.test(argument)) {
      const [claim, lesson] = await Promise.all([learn("claim", { name: argument }), learn("lesson", { name: argument })]);
      return () => new Claim(root, page, claim, lesson);
    }
    const lesson = await learn("lesson", { name: argument });
    return () => whole(root, lesson);
  }),
};

const to = (argument, text, more = {}) => h("a", { href: format({ screen: "lessons", argument }), ...more }, text);

function list(root, found) {
  fill(root,
    h("h1", {}, "Lessons"),
    h("p", {}, "Statements about sockets, each shown by a program that runs now, on this kernel. Predict first."),
    found.following ? h("p", {}, to(found.following.id, ["Go on: ", found.following.id, " ", prose(found.following.claim)], { class: "button primary" })) : null,
    h("section", { class: "courses" }, h("h2", {}, "Courses"), found.courses.map(course)),
    found.doors.map((door) =>
      h("section", {},
        h("h2", {}, `${door.id[0].toUpperCase()}${door.id.slice(1)}: ${door.what} `, h("span", { class: "dim" }, `${door.minutes} min`)),
        h("ul", { class: "cards" }, door.lessons.map(card)))));
}

function card(lesson) {
  const played = lesson.claims.filter((claim) => claim.played).length;
  const about = [`${lesson.minutes} min`, amount(lesson.claims.length, "claim"), lesson.after.length ? `after ${lesson.after.join(", ")}` : ""];
  return h("li", { class: "card" },
    to(lesson.id, lesson.title, { class: "card-title" }),
    h("p", { class: "dim" }, about.filter(Boolean).join(" · ")),
    played ? h("p", {}, badge(`${played} of ${lesson.claims.length} played`, played === lesson.claims.length ? "good" : "")) : null);
}

function course(found) {
  return h("details", { class: "course" },
    h("summary", {}, found.title, h("span", { class: "dim" }, found.minutes > 300 ? ` ${Math.round(found.minutes / 60)} h` : ` ${found.minutes} min`)),
    h("p", {}, prose(found.how)),
    h("ol", {}, found.units.map((unit) =>
      h("li", {}, h("strong", {}, unit.title), h("span", { class: "dim" }, ` ${unit.minutes} min`),
        h("ul", {}, unit.steps.map((step) => h("li", {}, step.screen ? h("a", { href: format(step) }, step.words) : h("code", {}, step.words))))))));
}

function whole(root, lesson) {
  fill(root,
    h("div", { class: "bar" }, to("", "All lessons", { class: "back" }), h("h1", {}, lesson.title)),
    h("p", { class: "dim" }, [`${lesson.minutes} minutes`, lesson.after.length ? `after ${lesson.after.join(", ")}` : ""].filter(Boolean).join(" · ")),
    h("div", { class: "prose" }, blocks(lesson.blocks)),
    h("h2", {}, "Claims"),
    h("ol", { class: "claims" }, lesson.claims.map((claim) =>
      h("li", {}, to(claim.id, [claim.id, " ", prose(claim.claim)]), " ", claim.verdict ? verdict(claim.verdict) : claim.played ? badge("played") : null))),
    h("p", {}, to(lesson.claims[0].id, "Begin", { class: "button primary" })));
}

class Claim {
  constructor(root, page, claim, lesson) {
    this.page = page;
    this.claim = claim;
    this.place = h("div", { class: "outcome", "aria-live": "polite" });
    const at = lesson.claims.findIndex(({ id }) => id === claim.id);
    const next = lesson.claims[at + 1];
    const run = (said, reason) => this.run(said, reason);
    this.ask = claim.missing
      ? h("p", { class: "notice" }, `Not shown here: ${claim.missing}`)
      : claim.ask.length
        ? question(claim, { ready: "Run it", skip: "Just show me", run })
        : h("p", {}, h("button", { type: "button", class: "primary", onclick: () => run(null, "") }, "Run it"));
    fill(root,
      h("div", { class: "bar" }, to(lesson.id, lesson.title, { class: "back" }), h("span", { class: "dim" }, `${at + 1} of ${lesson.claims.length}`)),
      h("h1", {}, claim.id, " ", prose(claim.claim)),
      claim.slide ? h("p", { class: "dim" }, `slide: ${claim.slide}`) : null,
      h("div", { class: "prose" }, blocks(claim.blocks)),
      this.ask,
      claim.programs.length ? h("details", { class: "programs", open: true },
        h("summary", {}, claim.hosts ? `The program (${claim.hosts})` : "The program"), claim.programs.map(code)) : null,
      this.place,
      h("p", { class: "bar" },
        at > 0 ? to(lesson.claims[at - 1].id, "Before", { class: "button" }) : null,
        next ? to(next.id, ["Next: ", next.id], { class: "button" }) : lesson.following ? to(lesson.following, "Next lesson", { class: "button" }) : to("", "All lessons", { class: "button" })));
  }

  async run(said, reason) {
    const buttons = this.ask.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    this.outcome?.close();
    this.outcome = null;
    fill(this.place, h("p", { class: "dim" }, "It runs …"));
    try {
      const found = await this.page.source.order("play", { claim: this.claim.id, answer: said });
      if (!this.place.isConnected) return;
      fill(this.place);
      this.outcome = new Outcome(this.place, this.page, found, reason);
      await this.outcome.update(this.page.route, true);
      this.place.scrollIntoView({ block: "start" });
    } catch (problem) {
      if (problem.later) return;
      fill(this.place, h("p", { class: "problem-line", role: "alert" }, problem.message));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  async update(route, fresh) {
    await this.outcome?.update(route, fresh);
  }

  close() {
    this.outcome?.close();
  }
}

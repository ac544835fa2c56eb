/** The screens, in the order of the head: one module each. */

import { screen as compare } from "./compare.mjs";
import { screen as exercises } from "./exercises.mjs";
import { screen as finding } from "./finding.mjs";
import { screen as gauges } from "./gauges.mjs";
import { screen as ladder } from "./ladder.mjs";
import { screen as lessons } from "./lessons.mjs";
import { screen as overview } from "./overview.mjs";
import { screen as quiz } from "./quiz.mjs";
import { screen as river } from "./river.mjs";
import { screen as sequence } from "./sequence.mjs";
import { screen as states } from "./states.mjs";
import { screen as topology } from "./topology.mjs";
import { screen as trying } from "./try.mjs";

export const SCREENS = [lessons, quiz, exercises, trying, overview, topology, finding, ladder, states, sequence, river, gauges, compare];

/** The screens, in the order of the head: one module each. */

import { screen as ladder } from "./ladder.mjs";
import { screen as overview } from "./overview.mjs";

export const SCREENS = [overview, ladder];

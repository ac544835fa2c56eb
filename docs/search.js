// How results of the search are ordered; Sphinx puts this into its searchtools.js. The numbers are Sphinx's own.
var Scorer = {
  // Of pages that match alike, what helps comes before what explains.
  score: ([docname, , , , score]) =>
    score + (docname.startsWith("howto/") ? 6 : docname.startsWith("rule/") || docname.startsWith("lesson/") ? 1 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};

// A page that was opened as a file may not read other files, so there are no excerpts of what was found.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

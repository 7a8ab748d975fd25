// The turns before a question. They are kept with the page's entry in the browser's history: back, forward and reload
// bring them along, a new tab has none.

const REMEMBERED = 6; // turns; the service takes 20
const LONGEST = 4000; // characters of one

/** The turns before the question that is shown. */
export const turns = () => history.state?.turns ?? [];

/** The turns once `answer` was given to `question`. */
export function turnsAfter(question, answer) {
  const text = answer.answered ? answer.text : answer.refusal?.message;
  const said = [{ role: "user", content: question }];
  if (text?.trim()) said.push({ role: "assistant", content: text });
  return [...turns(), ...said.map(({ role, content }) => ({ role, content: content.slice(0, LONGEST) }))].slice(-REMEMBERED);
}

/** What the question that is shown follows, or may be followed by. Nothing while there is no conversation. */
export function aboutConversation(answered) {
  const last = turns().findLast((turn) => turn.role === "user");
  if (last) return `Follow-up to “${last.content.length > 90 ? `${last.content.slice(0, 88)} …` : last.content}”`;
  return answered ? "Your next question may refer to this answer." : "";
}

// What people do with a result and say of it, told to the service without ever being in their way.

import * as api from "./api.js";
import { el } from "./dom.js";

const LONGEST = 2000; // characters of a correction

let permitted = true; // until the service says that this key may not
const told = new Set(); // what was opened counts once for each result

/** With another key it is tried again. */
export function permitAgain() {
  permitted = true;
}

/** Tells that a passage was opened. `about` is `{ query_id }` or `{ answer_id }`. Whatever becomes of it, nothing is shown. */
export function opened(about, chunkId) {
  const name = `${Object.values(about)} ${chunkId}`;
  if (!permitted || !chunkId || !Object.values(about)[0] || told.has(name)) return;
  told.add(name);
  send({ ...about, kind: "click", chunk_id: chunkId }).catch(() => {});
}

async function send(feedback) {
  try {
    await api.feedback(feedback);
  } catch (error) {
    if (error.status === 403) permitted = false;
    throw error;
  }
}

/** What is opened while its result is still coming: told once the result is whole. */
export class Later {
  constructor() {
    this.about = null;
    this.waiting = [];
  }

  opened(chunkId) {
    if (this.about) opened(this.about, chunkId);
    else this.waiting.push(chunkId);
  }

  whole(about) {
    this.about = about;
    for (const chunkId of this.waiting.splice(0)) opened(about, chunkId);
  }
}

/** "Did this help?", or nothing where feedback is not permitted. After a "No" it can be said what would be right. */
export function helpView(about) {
  if (!permitted || !Object.values(about)[0]) return null;
  const status = el("p", { class: "fine", role: "status", tabindex: "-1" });
  const form = correctionForm(about, status);
  const choice = (rating, words) => el("button", { type: "button", class: "second", "aria-pressed": "false", "data-rating": rating }, words);
  const buttons = [choice("up", "Yes"), choice("down", "No")];
  buttons[1].setAttribute("aria-controls", form.id);
  const choose = async (chosen) => {
    if (chosen.getAttribute("aria-pressed") === "true") return;
    const before = buttons.find((button) => button.getAttribute("aria-pressed") === "true");
    const show = (pressed) => {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button === pressed));
      form.hidden = pressed !== buttons[1];
    };
    show(chosen);
    try {
      await send({ ...about, kind: "rating", rating: chosen.dataset.rating });
      status.textContent = chosen === buttons[1] ? "Noted. You can say what would be right." : "Noted, thank you.";
    } catch (error) {
      show(before);
      status.textContent = failed(error);
    }
  };
  for (const button of buttons) button.addEventListener("click", () => choose(button));
  return el("div", { class: "helped", role: "group", "aria-labelledby": "helped-question" },
    el("span", { id: "helped-question" }, "Did this help?"), buttons, status, form);
}

function correctionForm(about, status) {
  const field = el("textarea", { id: "correction-text", rows: "3", maxlength: String(LONGEST) });
  const button = el("button", { type: "submit", class: "second" }, "Send");
  const form = el("form", { class: "correction", id: "correction", hidden: true },
    el("label", { for: field.id }, "What would be right? ", el("span", { class: "fine" }, "(you may leave this empty)")), field, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) {
      field.focus();
      return;
    }
    try {
      await send({ ...about, kind: "correction", text });
    } catch (error) {
      status.textContent = failed(error);
      return;
    }
    field.value = "";
    form.hidden = true;
    status.textContent = "Noted, thank you.";
    status.focus();
  });
  return form;
}

function failed(error) {
  return error.status === 403 ? "Feedback is not taken with this key." : `That was not noted: ${error.detail || error.message}`;
}

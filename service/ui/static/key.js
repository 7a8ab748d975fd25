// The form that asks for an API key, on every page that calls /v1.

import * as api from "./api.js";
import { byId } from "./dom.js";

/** Ask for a key; says so if the one that was given is not accepted. Where it is asked already, the focus stays. */
export function askForKey() {
  byId("key-note").textContent = api.hasKey() ? "This key was not accepted." : "";
  if (!byId("key-form").hidden) return;
  byId("key-form").hidden = false;
  byId("key").focus();
}

/** Take a key that is given, then call `taken`. */
export function takeKeys(taken) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    api.setKey(byId("key").value.trim());
    byId("key").value = "";
    byId("key-form").hidden = true;
    taken();
  });
  addEventListener("plumbline:key-needed", askForKey);
}

"use strict";

// Lists the operations of openapi.json and tries them with a token that stays in this page.
const EXAMPLE = {
  chat: { model: "demo", messages: [{ role: "user", content: "Say hello" }], stream: true },
  create_token: { name: "laptop", scope: "scope_token_user", grants: { version: "1", models: { type: "all" } } },
  update_token: { name: "another name" },
};
const base = location.pathname.replace(/\/docs\/?$/, "");
const element = (selector, within = document) => within.querySelector(selector);

function fields(operation, form) {
  for (const parameter of operation.parameters || []) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.name = parameter.name;
    input.dataset.in = parameter.in;
    input.required = Boolean(parameter.required);
    label.append(parameter.name + " ", input);
    element(".parameters", form).append(label);
  }
}

function address(path, form) {
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll(".parameters input")) {
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(input.name, input.value);
  }
  return base + path + (query.size ? `?${query}` : "");
}

async function send(method, path, view, signal) {
  const form = element("form", view);
  const answer = element(".answer", view);
  const headers = {};
  const token = element("#token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method, headers, signal };
  if (!element(".body", form).hidden) {
    headers["Content-Type"] = "application/json";
    options.body = element("textarea", form).value;
  }
  const response = await fetch(address(path, form), options);
  element(".status", view).textContent = `${response.status} ${response.statusText}`;
  if ((response.headers.get("content-type") || "").includes("application/json")) {
    answer.textContent = JSON.stringify(await response.json(), null, 2);
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    answer.textContent += value;
  }
}

function show(method, path, operation) {
  const view = element("#operation").content.cloneNode(true).firstElementChild;
  element(".method", view).textContent = method.toUpperCase();
  element(".path", view).textContent = path;
  element(".summary", view).textContent = operation.summary;
  element(".description", view).textContent = operation.description;
  const form = element("form", view);
  fields(operation, form);
  element(".body", form).hidden = !operation.requestBody;
  element("textarea", form).value = JSON.stringify(EXAMPLE[operation.operationId] || {}, null, 2);
  for (const [status, response] of Object.entries(operation.responses)) {
    const row = element("tbody", view).insertRow();
    row.insertCell().textContent = status;
    row.insertCell().textContent = response.description;
  }
  const stop = element(".stop", view);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const control = new AbortController();
    element(".answer", view).textContent = "";
    stop.disabled = false;
    stop.onclick = () => control.abort();
    try {
      await send(method.toUpperCase(), path, view, control.signal);
    } catch (error) {
      element(".status", view).textContent = control.signal.aborted ? "stopped" : String(error);
    }
    stop.disabled = true;
  });
  return view;
}

async function load() {
  const list = element("#operations");
  const document_ = await (await fetch(`${base}/openapi.json`)).json();
  element("#version").textContent = document_.info.version;
  list.replaceChildren();
  const groups = new Map();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const group = operation.tags[0];
      if (!groups.has(group)) {
        const title = document.createElement("h2");
        title.textContent = group;
        list.append(title);
        groups.set(group, title);
      }
      const views = [...list.children];
      const end = views.findIndex((view, index) => index > views.indexOf(groups.get(group)) && view.tagName === "H2");
      list.insertBefore(show(method, path, operation), end < 0 ? null : views[end]);
    }
  }
}

load().catch((error) => { element("#operations").textContent = `The description could not be loaded: ${error}`; });

// Tickets from the API; the assistant's events as they come, and its question to a person in between.

const talk = document.getElementById("talk");
const ask = document.getElementById("ask");

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
  return made;
}

function said(text, kind) {
  const line = element("li", text, kind);
  talk.append(line);
  return line;
}

async function showTickets() {
  const tickets = await (await fetch("tickets")).json();
  document.getElementById("tickets").replaceChildren(...tickets.map((ticket) => {
    const item = element("li", "", ticket.status);
    const head = element("p");
    head.append(element("strong", `${ticket.id} · ${ticket.title}`), element("span", ticket.status, "status"));
    item.append(head, element("p", `${ticket.customer}: ${ticket.summary || ticket.body}`, "body"));
    return item;
  }));
}

async function run(path, body) {
  const button = ask.querySelector("button");
  button.disabled = true;
  let line = null;
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    for await (const event of events(answer.body)) {
      if (event.kind === "text") {
        line ??= said("", "answer");
        line.textContent += event.text;
      } else if (event.kind === "tool_called") {
        line = null;
        said(`${event.name}(${Object.values(event.arguments).join(", ")})`, "call");
      } else if (event.kind === "tool_failed" || event.kind === "error") {
        said(event.message, "failed");
      } else if (event.kind === "finished" && event.outcome === "approval_needed") {
        approve(event);
      } else if (event.kind === "finished" && event.outcome !== "finished") {
        said(`It ended early: ${event.outcome.replaceAll("_", " ")}.`, "failed");
      }
    }
  } catch (error) {
    said(error.message, "failed");
  } finally {
    button.disabled = false;
    await showTickets();
  }
}

function approve({ state_id: id, pending }) {
  const wanted = pending.map((call) => `${call.name}(${Object.values(call.arguments).join(", ")})`).join(", ");
  const line = said(`May I ${wanted}?`, "approval");
  for (const [label, allowed] of [["Allow", true], ["Refuse", false]]) {
    const button = element("button", label, allowed ? "first" : "");
    button.addEventListener("click", () => {
      for (const one of line.querySelectorAll("button")) one.remove();
      run(`assistant/${encodeURIComponent(id)}`, { allowed });
    });
    line.append(button);
  }
}

ask.addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const text = ask.elements.text.value;
  ask.reset();
  said(text, "question");
  run("assistant", { text });
});

document.getElementById("new").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  const body = JSON.stringify(Object.fromEntries(new FormData(form)));
  const answer = await fetch("tickets", { method: "POST", headers: { "content-type": "application/json" }, body });
  if (answer.ok) form.reset();
  await showTickets();
});

await showTickets();

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) if (frame.startsWith("data: ")) yield JSON.parse(frame.slice(6));
  }
}

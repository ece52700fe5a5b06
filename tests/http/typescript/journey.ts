// From an empty machine to an answer, by the types of BodhiApp's published client: what is asked is held to them by the
// compiler here, and what is answered is printed with the name of its type, to be held to it by the compiler afterwards.

import type {
  CopyAliasRequest,
  GetAliasData,
  GetDownloadStatusData,
  GetQueueStatusData,
  ListAllModelsData,
  ListDownloadsData,
  ListModelFilesData,
  ModelsAliasCopyData,
  ModelsAliasCreateData,
  ModelsAliasDestroyData,
  ModelsAliasUpdateData,
  PingServerData,
  PullModelFileData,
  RefreshModelMetadataData,
  UserAliasRequest,
} from "@bodhiapp/ts-client";
import type { CreateChatCompletionData } from "@bodhiapp/ts-client/openai";

type Operation = { url: string; body?: unknown; path?: Record<string, string>; query?: Record<string, unknown> };
type Answer = { status: number; value: any };

declare const process: { argv: string[] };
const [base, token] = process.argv.slice(2);

async function call<D extends Operation>(method: string, url: D["url"], asked: Omit<D, "url">): Promise<Answer> {
  const path = url.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(asked.path?.[name] ?? ""));
  const query = new URLSearchParams(Object.entries(asked.query ?? {}).map(([name, value]) => [name, String(value)]));
  const response = await fetch(`${base}${path}?${query}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: asked.body === undefined ? undefined : JSON.stringify(asked.body),
  });
  const text = await response.text();
  return { status: response.status, value: text ? JSON.parse(text) : null };
}

function told(type: string, expected: number, answer: Answer): any {
  if (answer.status !== expected) {
    throw new Error(`${type}: ${answer.status} ${JSON.stringify(answer.value)}`);
  }
  console.log(JSON.stringify({ type, value: answer.value }));
  return answer.value;
}

const repo = "owner/repo";
const filename = "model-Q8_0.gguf";
const byAlias: UserAliasRequest = {
  alias: "writer",
  repo,
  filename,
  request_params: { temperature: 0.5, stop: ["end"], max_tokens: 40 },
  context_params: ["--ctx-size 256"],
};
const copy: CopyAliasRequest = { alias: "copied" };

told("PingResponse", 200, await call<PingServerData>("GET", "/ping", {}));
const begun = told(
  "DownloadRequest",
  201,
  await call<PullModelFileData>("POST", "/bodhi/v1/models/files/pull", { body: { repo, filename } }),
);
for (;;) {
  const one = await call<GetDownloadStatusData>("GET", "/bodhi/v1/models/files/pull/{id}", { path: { id: begun.id } });
  if (one.value.status !== "pending") {
    if (told("DownloadRequest", 200, one).status !== "completed") throw new Error(one.value.error);
    break;
  }
}
told(
  "PaginatedDownloadResponse",
  200,
  await call<ListDownloadsData>("GET", "/bodhi/v1/models/files/pull", { query: { page: 1, page_size: 10 } }),
);
const made = told(
  "UserAliasResponse",
  201,
  await call<ModelsAliasCreateData>("POST", "/bodhi/v1/models/alias", { body: byAlias }),
);
told("UserAliasResponse", 200, await call<GetAliasData>("GET", "/bodhi/v1/models/{id}", { path: { id: made.id } }));
told(
  "UserAliasResponse",
  200,
  await call<ModelsAliasUpdateData>("PUT", "/bodhi/v1/models/alias/{id}", {
    path: { id: made.id },
    body: { ...byAlias, request_params: { temperature: 0 } },
  }),
);
const copied = told(
  "UserAliasResponse",
  201,
  await call<ModelsAliasCopyData>("POST", "/bodhi/v1/models/alias/{id}/copy", { path: { id: made.id }, body: copy }),
);
told(
  "RefreshResponse",
  202,
  await call<RefreshModelMetadataData>("POST", "/bodhi/v1/models/refresh", { body: { source: "all" } }),
);
told(
  "ModelAliasResponse",
  200,
  await call<RefreshModelMetadataData>("POST", "/bodhi/v1/models/refresh", {
    body: { source: "model", repo, filename, snapshot: made.snapshot },
  }),
);
told("QueueStatusResponse", 200, await call<GetQueueStatusData>("GET", "/bodhi/v1/queue", {}));
const query = { page: 1, page_size: 10, sort: "alias", sort_order: "desc" };
told("PaginatedAliasResponse", 200, await call<ListAllModelsData>("GET", "/bodhi/v1/models", { query }));
told(
  "PaginatedLocalModelResponse",
  200,
  await call<ListModelFilesData>("GET", "/bodhi/v1/models/files", { query: { ...query, sort: "repo" } }),
);
told(
  "BodhiErrorResponse",
  400,
  await call<ModelsAliasCreateData>("POST", "/bodhi/v1/models/alias", { body: byAlias }),
);
told(
  "BodhiErrorResponse",
  404,
  await call<GetAliasData>("GET", "/bodhi/v1/models/{id}", { path: { id: "01ARZ3NDEKTSV4RRFFQ69G5FAV" } }),
);
told(
  "CreateChatCompletionResponse",
  200,
  await call<CreateChatCompletionData>("POST", "/v1/chat/completions", {
    body: { model: "writer", messages: [{ role: "user", content: "hello" }] },
  }),
);
const removed = await call<ModelsAliasDestroyData>("DELETE", "/bodhi/v1/models/alias/{id}", {
  path: { id: copied.id },
});
if (removed.status !== 200) throw new Error(`${removed.status}`);

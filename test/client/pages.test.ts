// Lists that come in pages.
import { ModelService } from "@modelwire/proto";
import { expect, test } from "vitest";
import { createClient } from "../../client/index.ts";
import { collect } from "./echo.ts";
import { startTestServer } from "./test-server.ts";

/** Serves pages of models by token, and remembers which tokens were asked for. */
async function startPages(pages: Record<string, { names: string[]; next: string }>) {
  const server = await startTestServer();
  const asked: string[] = [];
  server.add(ModelService, {
    searchModels: async ({ pageToken, name }) => {
      asked.push(pageToken);
      const page = pages[pageToken] ?? { names: [], next: "" };
      return { models: page.names.map((n) => ({ name: name + n })), nextPageToken: page.next };
    },
  });
  const client = createClient(server.address);
  return {
    client,
    asked,
    async [Symbol.asyncDispose]() {
      client.close();
      await server.close();
    },
  };
}

const PAGES = { "": { names: ["a", "b"], next: "2" }, "2": { names: [], next: "3" }, "3": { names: ["c"], next: "" } };

test("every item of every page comes, in order, with the search's other fields on each page", async () => {
  await using server = await startPages(PAGES);
  const models = await collect(server.client.models.searchAll({ name: "x-" }));
  expect(models.map((model) => model.name)).toEqual(["x-a", "x-b", "x-c"]);
  expect(server.asked).toEqual(["", "2", "3"]);
});

test("leaving the loop fetches no further page", async () => {
  await using server = await startPages(PAGES);
  for await (const model of server.client.models.searchAll()) if (model.name === "b") break;
  expect(server.asked).toEqual([""]);
});

test("a server that gives the same token for ever ends in an error", async () => {
  await using server = await startPages({ "": { names: ["a"], next: "2" }, "2": { names: ["b"], next: "2" } });
  await expect(collect(server.client.models.searchAll())).rejects.toThrow("same page token twice");
});

// Where a page of models ends, in a form that clients hand back. Later pages neither skip nor repeat a model when others
// are logged meanwhile.
import { createHash } from "node:crypto";
import { invalidFields, type Model } from "@modelwire/proto";
import type { SearchModels } from "./model-store.ts";

const PAGE = { usual: 100, largest: 1000 } as const;

export function pageSize(asked: number): number {
  return asked <= 0 ? PAGE.usual : Math.min(asked, PAGE.largest);
}

/** @param last The last model of the page. */
export function writePageToken(query: SearchModels, last: Model): string {
  const { seconds = 0n, nanos = 0 } = last.creationTime ?? {};
  const creationMs = seconds * 1000n + BigInt(nanos) / 1_000_000n;
  return Buffer.from(JSON.stringify([queryDigest(query), String(creationMs), last.modelId])).toString("base64url");
}

/** @throws ApiError INVALID_FIELD for a token of another query, or none of ours. */
export function readPageToken(query: SearchModels): { creationMs: bigint; modelId: string } | undefined {
  if (query.pageToken === "") return undefined;
  const [digest, creationMs, modelId] = parse(query.pageToken);
  if (digest !== queryDigest(query) || typeof creationMs !== "string" || typeof modelId !== "string")
    throw invalidFields([
      { field: "page_token", description: "is not one that this query gave; begin again with an empty token" },
    ]);
  return { creationMs: BigInt(creationMs), modelId };
}

function parse(token: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    return Array.isArray(value) && /^-?\d{1,19}$/.test(String(value[1])) ? value : [];
  } catch {
    return [];
  }
}

/** The page size may change from page to page. */
function queryDigest({ experimentIds, name }: SearchModels): string {
  return createHash("sha256")
    .update(JSON.stringify([experimentIds, name]))
    .digest("base64url")
    .slice(0, 16);
}

// Turns a paged method into a list without pages. It must never know what is on them.
import { status } from "@grpc/grpc-js";
import { ApiError } from "@modelwire/proto";

/**
 * Every item of every page. A page is fetched when the items of the one before are used up, so leaving the loop early
 * fetches nothing more.
 *
 * @throws ApiError INTERNAL when the server gives the same page token twice in a row: following it would never end.
 */
export async function* allPages<Item>(
  fetch: (pageToken: string) => Promise<{ items: readonly Item[]; nextPageToken: string }>,
): AsyncGenerator<Item, void, undefined> {
  let token = "";
  do {
    const page = await fetch(token);
    yield* page.items;
    if (page.nextPageToken !== "" && page.nextPageToken === token) {
      throw new ApiError(
        { code: status.INTERNAL },
        "the server gave the same page token twice; the list cannot be followed",
      );
    }
    token = page.nextPageToken;
  } while (token !== "");
}
